// Picture draws the way of a message, which README.md shows.
//
//	go run ./internal/picture > docs/message.svg
package main

import (
	"fmt"
	"strings"
)

func main() { fmt.Print(draw()) }

// step is a station of the way: what happens, where it is, and what a program may
// bring for it.
type step struct {
	title, where string
	lines        []string
	yours        string
}

var way = [...]step{
	{"Check", "Client.Deliver", []string{"addresses, parameters,", "one scan of the content,", "recipients by next hop"}, "Envelope, Content"},
	{"Route", "package resolve", []string{"MX, SRV, addresses,", "DNSSEC, loop checks,", "dead hosts remembered"}, "Resolver, Cache"},
	{"Policy", "package tlspolicy", []string{"for each host: DANE,", "MTA-STS, tables,", "may ... secure"}, "Source"},
	{"Session", "Pool, Dialer", []string{"kept or new: connect,", "EHLO, STARTTLS, AUTH,", "limits asked first"}, "Dialer, Pool, Limiter"},
	{"Transaction", "Session", []string{"MAIL, RCPT, DATA or", "BDAT in groups; the end", "of the data, the reply"}, "Filters, Trace"},
}

var outcomes = [...][2]string{
	{"Delivered", "#2e7d32"}, {"Deferred", "#b26a00"}, {"Failed", "#c62828"}, {"Unknown", "#5e35b1"},
}

const (
	width, height    = 1080, 330
	boxW, boxH, gap  = 164, 112, 20
	left, top        = 16, 84
	middle           = top + boxH/2
	reportX, reportW = left + len(way)*(boxW+gap), 124
)

// canvas collects the elements of an SVG.
type canvas struct{ strings.Builder }

func (c *canvas) box(x, y, w, h int, style string) {
	fmt.Fprintf(c, `<rect x="%d" y="%d" width="%d" height="%d" rx="8" %s/>`+"\n", x, y, w, h, style)
}

func (c *canvas) text(x, y int, style, words string) {
	fmt.Fprintf(c, `<text x="%d" y="%d" text-anchor="middle" %s>%s</text>`+"\n", x, y, style, words)
}

func (c *canvas) arrow(path, style string) {
	fmt.Fprintf(c, `<path d="%s" fill="none" marker-end="url(#head)" %s/>`+"\n", path, style)
}

// draw gives the SVG.
func draw() string {
	c := new(canvas)
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img">`+"\n", width, height)
	c.WriteString("<title>The way of a message: check, route, policy, session, transaction, and an outcome for every recipient</title>\n")
	c.WriteString(`<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#455a64"/></marker></defs>` + "\n")
	c.box(0, 0, width, height, `fill="#ffffff"`)
	for i, s := range way {
		drawStep(c, left+i*(boxW+gap), s)
	}
	drawReturn(c)
	drawReport(c)
	c.WriteString("</svg>\n")
	return c.String()
}

// drawStep draws a station, what a program may bring below it, and the way to the next.
func drawStep(c *canvas, x int, s step) {
	center := x + boxW/2
	c.box(x, top, boxW, boxH, `fill="#e3f2fd" stroke="#1565c0"`)
	c.text(center, top+22, `font-size="15" font-weight="bold"`, s.title)
	c.text(center, top+39, `fill="#1565c0" font-family="monospace"`, s.where)
	for i, line := range s.lines {
		c.text(center, top+62+16*i, `fill="#263238"`, line)
	}
	c.arrow(fmt.Sprintf("M%d %dH%d", x+boxW, middle, x+boxW+gap-1), `stroke="#455a64"`)
	c.box(x, top+boxH+44, boxW, 44, `fill="#fafafa" stroke="#90a4ae" stroke-dasharray="4 3"`)
	c.text(center, top+boxH+62, `fill="#546e7a"`, "yours, or a default:")
	c.text(center, top+boxH+79, `fill="#263238" font-size="10" font-family="monospace"`, s.yours)
	c.arrow(fmt.Sprintf("M%d %dV%d", center, top+boxH+44, top+boxH+1), `stroke="#90a4ae"`)
}

// drawReturn is the way of those whom a host did not decide.
func drawReturn(c *canvas) {
	from, to := left+4*(boxW+gap)+boxW/2, left+2*(boxW+gap)+boxW/2
	c.arrow(fmt.Sprintf("M%d %dV46H%dV%d", from, top, to, top-1), `stroke="#b26a00"`)
	c.text((from+to)/2, 38, `fill="#b26a00"`, "who is still open goes on to the next host, next hop, fallback")
}

// drawReport is the end: one outcome for every recipient.
func drawReport(c *canvas) {
	center := reportX + reportW/2
	c.box(reportX, top-40, reportW, boxH+80, `fill="#f1f8e9" stroke="#558b2f"`)
	c.text(center, top-18, `font-size="15" font-weight="bold"`, "Report")
	c.text(center, top, `fill="#263238"`, "for each recipient")
	for i, o := range outcomes {
		y := top + 14 + 28*i
		c.box(reportX+12, y, reportW-24, 22, fmt.Sprintf(`fill="%s"`, o[1]))
		c.text(center, y+16, `fill="#ffffff" font-weight="bold"`, o[0])
	}
	c.text(center, top+boxH+26, `fill="#263238"`, "and why")
}
