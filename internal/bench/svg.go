package main

import (
	"fmt"
	"html"
	"strings"
)

// The measures of a chart, in pixels. It has a ground of its own, so that it can be
// read on a light page and on a dark one.
const (
	chartWidth            = 960
	chartTop, chartBottom = 66, 30
	panelWidth, labelSide = 464, 222
	barHeight, barStep    = 15, 21
	panelHead, panelFoot  = 30, 14
	barRoom               = panelWidth - labelSide - 62
)

// draw gives the SVG: two panels in a row.
func (c chart) draw(r *record) string {
	var b strings.Builder
	y := chartTop
	for i := 0; i < len(c.panels); i += 2 {
		rows := 0
		for k, p := range c.panels[i:min(i+2, len(c.panels))] {
			bars := p.bars(r)
			drawPanel(&b, p.title, bars, 16+k*panelWidth, y)
			rows = max(rows, len(bars))
		}
		y += panelHead + rows*barStep + panelFoot
	}
	height := y + chartBottom
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img">`+"\n", chartWidth, height)
	fmt.Fprintf(&out, "<title>%s: %s</title>\n", html.EscapeString(c.title), html.EscapeString(c.note))
	fmt.Fprintf(&out, `<rect width="%d" height="%d" rx="8" fill="#ffffff"/>`+"\n", chartWidth, height)
	write(&out, 16, 30, `font-size="18" font-weight="bold" fill="#263238"`, c.title)
	write(&out, 16, 50, `fill="#546e7a"`, c.note)
	out.WriteString(b.String())
	write(&out, 16, height-12, `font-size="10" fill="#78909c"`, r.stamps(c.from()))
	return out.String() + "</svg>\n"
}

func (c chart) from() []string {
	list := []string{}
	for _, p := range c.panels {
		list = append(list, p.id)
	}
	return list
}

func drawPanel(b *strings.Builder, title string, bars []bar, x, y int) {
	write(b, x, y+16, `font-weight="bold" fill="#263238"`, title)
	most := 0.0
	for _, one := range bars {
		most = max(most, one.value)
	}
	for i, one := range bars {
		top, length := y+panelHead+i*barStep, 1.0
		if most > 0 {
			length = max(1, one.value/most*barRoom)
		}
		write(b, x+labelSide-8, top+12, `text-anchor="end" font-size="11" fill="#263238"`, one.label)
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x+labelSide, top, length, barHeight, one.color)
		write(b, x+labelSide+int(length)+6, top+12, `font-size="11" fill="#263238"`, one.shown)
	}
}

func write(b *strings.Builder, x, y int, style, words string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, style, html.EscapeString(words))
}
