package smtpclient_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

const allStamps = smtpclient.StampReturnPath | smtpclient.StampOriginalTo | smtpclient.StampDeliveredTo

// Each stamp stands where Postfix has it, and those that name a recipient take a
// transaction for each.
func TestStamps(t *testing.T) {
	for name, tt := range map[string]struct {
		stamps smtpclient.Stamps
		from   string
		want   []string // what stands before the message, by transaction
	}{
		"none":         {0, "ann@example.org", []string{""}},
		"Return-Path":  {smtpclient.StampReturnPath, "ann@example.org", []string{"Return-Path: <ann@example.org>\r\n"}},
		"of a notice":  {smtpclient.StampReturnPath, "<>", []string{"Return-Path: <>\r\n", "Return-Path: <>\r\n"}}, // which goes to one at a time
		"Delivered-To": {smtpclient.StampDeliveredTo, "<>", []string{"Delivered-To: bob@example.net\r\n", "Delivered-To: \"carol d\"@example.net\r\n"}},
		"X-Original-To": {smtpclient.StampOriginalTo, "<>", []string{
			"X-Original-To: sales@example.com\r\n", "X-Original-To: \"carol d\"@example.net\r\n"}},
		"all": {allStamps, "ann@example.org", []string{
			"Return-Path: <ann@example.org>\r\nX-Original-To: sales@example.com\r\nDelivered-To: bob@example.net\r\nX-Own: 1\r\n",
			"Return-Path: <ann@example.org>\r\nX-Original-To: \"carol d\"@example.net\r\nDelivered-To: \"carol d\"@example.net\r\nX-Own: 1\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{})
				env := fromAnn("bob@example.net", `"carol d"@example.net`)
				env.From, env.Stamps = tt.from, tt.stamps
				env.To[0].ORCPT = "rfc822;sales@example.com"
				env.To[1].ORCPT = "x400;somebody"
				if name == "all" {
					env.Header = "X-Own: 1\r\n"
				}
				report, err := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
				checkError(t, report, err)
				var got []string
				for _, m := range mx.Messages() {
					front, ok := strings.CutSuffix(string(m.Data), hello)
					if !ok || m.FromArgs != "" && !strings.Contains(m.FromArgs, "SIZE="+itoa(len(m.Data))) {
						t.Errorf("got %q with %q", m.Data, m.FromArgs)
					}
					got = append(got, front)
				}
				if strings.Join(got, "|") != strings.Join(tt.want, "|") {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if mx.Sessions() != 1 {
					t.Errorf("%d sessions, want one", mx.Sessions())
				}
			})
		})
	}
}

// A message that was delivered to an address before is in a loop. The others get
// it.
func TestDeliveredToLoop(t *testing.T) {
	for name, tt := range map[string]struct {
		header, text string
		bob          string
	}{
		"in the content":  {"", "Delivered-To: bob@example.net\r\n" + hello, "failed input 5.4.6"},
		"in other case":   {"", "delivered-to: Bob@EXAMPLE.net\r\n" + hello, "failed input 5.4.6"},
		"folded":          {"", "Delivered-To:\r\n bob@example.net\r\n" + hello, "failed input 5.4.6"},
		"at last":         {"", "X: y\nDelivered-To: bob@example.net\n\nbody\n", "failed input 5.4.6"},
		"in the header":   {"Delivered-To: bob@example.net\r\n", hello, "failed input 5.4.6"},
		"in the body":     {"", hello + "\r\nDelivered-To: bob@example.net\r\n", "delivered data-done 2.0.0"},
		"another address": {"", "Delivered-To: bob@example.com\r\n" + hello, "delivered data-done 2.0.0"},
		"another field":   {"", "X-Delivered-To: bob@example.net\r\n" + hello, "delivered data-done 2.0.0"},
	} {
		for _, content := range []smtpclient.Content{smtpclient.Bytes([]byte(tt.text)), reader{tt.text, 7, -1}} {
			t.Run(name, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.mx(10, &smtptest.Server{})
					env := fromAnn("Bob@example.net", "carol@example.net")
					env.Stamps, env.Header = smtpclient.StampDeliveredTo, tt.header
					report, err := w.client.Deliver(t.Context(), env, content)
					checkError(t, report, err)
					expect(t, report, "Bob@example.net "+tt.bob, "carol@example.net delivered data-done 2.0.0")
				})
			})
		}
	}
}
