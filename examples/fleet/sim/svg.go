package main

import (
	"fmt"
	"math"
	"strings"
)

// plots are the pictures by name.
var plots = map[string]func([]result) string{
	"waiting": func(rs []result) string {
		return plot("messages in the queue", rs, func(m *measure, p point) float64 { return float64(p.waiting) })
	},
	"delivered": func(rs []result) string {
		return plot("delivered per second", rs, func(m *measure, p point) float64 { return float64(p.delivered) / m.every.Seconds() })
	},
	"age": func(rs []result) string {
		return plot("age of 99 % at delivery, in minutes", rs, func(m *measure, p point) float64 { return p.age / 60 })
	},
}

const (
	width, height   = 860, 380
	left, right     = 80, 120
	top, bottom     = 40, 40
	plotted         = 1.5 // lengths of the load
	axisLines       = 5
	black, pale     = "#222", "#ddd"
	fontAndSize     = `font-family="sans-serif" font-size="12"`
	pointsInALength = 96
)

var colours = []string{"#c33", "#e80", "#393", "#06c", "#06c", "#93c", "#666"}

// plot draws a value of all runs over time.
func plot(title string, results []result, value func(*measure, point) float64) string {
	most := 1e-9
	points := int(plotted * pointsInALength)
	for _, r := range results {
		for i, p := range r.series {
			if i < points {
				most = max(most, value(r.measure, p))
			}
		}
	}
	most = roundUp(most)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" %s>`+"\n", width, height, fontAndSize)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="24" fill="%s" font-size="15">%s</text>`+"\n", left, black, title)
	axes(&b, most, results)
	for n, r := range results {
		colour, dash := colours[n%len(colours)], ""
		if n > 0 && colours[(n-1)%len(colours)] == colour {
			dash = ` stroke-dasharray="5 3"`
		}
		var line strings.Builder
		for i := range min(points, len(r.series)) {
			fmt.Fprintf(&line, "%.1f,%.1f ", x(i, points), y(value(r.measure, r.series[i]), most))
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5"%s points="%s"/>`+"\n", colour, dash, strings.TrimSpace(line.String()))
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", width-right+10, top+14+18*n, colour, r.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// axes draws the lines of the values, and the hours.
func axes(b *strings.Builder, most float64, results []result) {
	for i := range axisLines + 1 {
		v := most * float64(i) / axisLines
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s"/><text x="%d" y="%.1f" text-anchor="end">%.6g</text>`+"\n",
			left, width-right, y(v, most), y(v, most), pale, left-8, y(v, most)+4, v)
	}
	if len(results) == 0 {
		return
	}
	hours := results[0].every.Hours() * pointsInALength * plotted
	for i := range 7 {
		at := float64(left) + float64(i)/6*float64(width-left-right)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%.3g h</text>`+"\n", at, height-bottom+20, hours*float64(i)/6)
	}
}

func x(i, points int) float64 {
	return left + float64(i)/float64(points)*float64(width-left-right)
}

func y(v, most float64) float64 {
	return float64(height-bottom) - v/most*float64(height-top-bottom)
}

// roundUp gives 1, 2 or 5 times a power of ten.
func roundUp(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*power {
			return n * power
		}
	}
	return 10 * power
}
