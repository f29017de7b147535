package model

import (
	"strings"
	"testing"
)

// crlf ends each line as it is on the wire; what has no line end stays without.
func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// The model itself, in words: what both ends said, and what that means.
func TestJudge(t *testing.T) {
	const (
		open  = "EHLO c\nMAIL FROM:<a@x>\nRCPT TO:<b@x>\nRCPT TO:<c@x>\nDATA\n"
		goes  = "220 x\n250-x\n250 PIPELINING\n250 ok\n250 ok\n250 ok\n354 go\n"
		mixed = "220 x\n250 x\n250 ok\n550 no\n250 ok\n354 go\n"
		group = "EHLO c\nMAIL FROM:<a@x>\nRCPT TO:<b@x>\nRCPT TO:<c@x>\nBDAT 4 LAST\nhi\n"
	)
	for name, tt := range map[string]struct {
		accepted, readable string
		lmtp, cutOff       bool
		want               string // b's and c's
	}{
		"all is well":                         {open + "hi\n.\n", goes + "250 ok\n", false, false, "dd"},
		"nothing was written":                 {"EHLO c\n", "220 x\n", false, false, "--"},
		"half of a command":                   {"EHLO c\nMAIL FROM:<a@x>\nRCPT TO:<b", goes, false, false, "--"},
		"no reply to the dot":                 {open + "hi\n.\n", goes, false, false, "uu"},
		"half of a reply to the dot":          {open + "hi\n.\n", goes + "250 ok", false, false, "uu"},
		"half of a long one":                  {open + "hi\n.\n", goes + "250-ok\n", false, false, "uu"},
		"no dot":                              {open + "hi\n", goes + "", false, false, "DD"},
		"half of the dot":                     {open + "hi\n.\r", goes, false, false, "DD"},
		"a doubled dot is none":               {open + "hi\n..\n", goes, false, false, "DD"},
		"refused at the dot":                  {open + "hi\n.\n", goes + "554 no\n", false, false, "ff"},
		"deferred at the dot":                 {open + "hi\n.\n", goes + "451 no\n", false, false, "DD"},
		"a reply that cannot be":              {open + "hi\n.\n", goes + "354 go\n", false, false, "uu"},
		"refused before the dot":              {open + "hi\n", goes + "552 no\n", false, false, "ff"},
		"one is refused":                      {open + "hi\n.\n", mixed + "250 ok\n", false, false, "fd"},
		"one is refused, then lost":           {open, mixed, false, false, "fD"},
		"one is refused, then cut off":        {open, mixed, false, true, "FD"},
		"DATA is refused":                     {open, strings.Replace(goes, "354 go", "554 no", 1), false, false, "ff"},
		"MAIL is refused":                     {open, "220 x\n250 x\n550 no\n503 no\n503 no\n503 no\n", false, false, "ff"},
		"one reply of LMTP":                   {open + "hi\n.\n", goes + "250 ok\n", true, false, "du"},
		"two replies of LMTP":                 {open + "hi\n.\n", goes + "250 ok\n550 no\n", true, false, "df"},
		"one accepted in LMTP":                {open + "hi\n.\n", mixed + "250 ok\n", true, false, "fd"},
		"a whole group":                       {group, "220 x\n250 x\n250 ok\n250 ok\n250 ok\n250 ok\n", false, false, "dd"},
		"a group with nothing said":           {group, "220 x\n250 x\n", false, false, "uu"},
		"a group, refused by MAIL":            {group, "220 x\n250 x\n550 no\n", false, false, "ff"},
		"a group, half of its chunk":          {group[:len(group)-2], "220 x\n250 x\n", false, false, "DD"},
		"cut off behind the dot is no matter": {open + "hi\n.\nQU", goes + "554 no\n", false, true, "ff"},
	} {
		fates := Judge([]Connection{{tt.lmtp, crlf(tt.accepted), crlf(tt.readable), tt.cutOff}})
		got := ""
		for _, path := range []string{"b@x", "c@x"} {
			switch f, named := fates[path]; {
			case !named:
				got += "-"
			case f.Also == Deferred:
				got += "F"
			default:
				got += string(f.Verdict)
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

// Several transactions, and several connections.
func TestJudgeInTurn(t *testing.T) {
	mail := func(to string) string { return "MAIL FROM:<a@x>\nRCPT TO:<" + to + ">\nDATA\n" }
	const yes = "250 ok\n250 ok\n354 go\n"
	first := Connection{Accepted: crlf("EHLO c\n" + mail("b@x") + "hi\n.\n" + mail("c@x")), Readable: crlf("220 x\n250 x\n" + yes + "250 ok\n")}
	fates := Judge([]Connection{first})
	if f := fates["c@x"]; f != (Fate{Verdict: Deferred, Silent: true}) || fates["b@x"] != (Fate{Verdict: Delivered}) {
		t.Errorf("silent: %+v", fates)
	}
	first.Readable = append(first.Readable, "250 ok\r\n"...)
	if f := Judge([]Connection{first})["c@x"]; f != (Fate{Verdict: Deferred}) {
		t.Errorf("not silent: %+v", f)
	}
	second := Connection{Accepted: crlf("EHLO c\n" + mail("c@x") + "hi\n.\n"), Readable: crlf("220 x\n250 x\n" + yes + "250 ok\n")}
	if f := Judge([]Connection{first, second})["c@x"]; f != (Fate{Verdict: Delivered}) {
		t.Errorf("again, as it may be: %+v", f)
	}
	if f := Judge([]Connection{second, second})["c@x"]; !f.Again {
		t.Errorf("again after a verdict: %+v", f)
	}
	second.Readable = second.Readable[:len(second.Readable)-1]
	if f := Judge([]Connection{second, second})["c@x"]; f != (Fate{Verdict: Unknown, Again: true}) {
		t.Errorf("again after an unknown one: %+v", f)
	}
}
