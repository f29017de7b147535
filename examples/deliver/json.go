package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// The JSON form of a smtpclient.Report. Names and types are fixed: scripts read
// them. Lists are never null.
type (
	jsonReport struct {
		Recipients []jsonOutcome `json:"recipients"`
		Seconds    float64       `json:"seconds"`
	}
	jsonOutcome struct {
		Address   string             `json:"address"`
		Status    string             `json:"status"` // delivered, deferred, failed or unknown
		Action    string             `json:"action"` // delivered, relayed, failed or delayed
		Stage     string             `json:"stage"`
		Code      int                `json:"code"` // 0: no reply decided
		Enhanced  string             `json:"enhanced"`
		Text      string             `json:"text"` // lines of the reply, joined by \n; without a reply: why
		Host      string             `json:"host"`
		Addr      string             `json:"addr"`
		Reused    int                `json:"reused"`
		Auth      string             `json:"auth"`
		TLS       jsonTLS            `json:"tls"`
		Durations map[string]float64 `json:"durations"` // seconds, by stage
		Attempts  []jsonAttempt      `json:"attempts"`  // those before the deciding one
	}
	jsonAttempt struct {
		Host     string  `json:"host"`
		Addr     string  `json:"addr"`
		Stage    string  `json:"stage"`
		Code     int     `json:"code"`
		Enhanced string  `json:"enhanced"`
		Text     string  `json:"text"`
		TLS      jsonTLS `json:"tls"`
	}
	jsonTLS struct {
		Wanted   string `json:"wanted"`
		Reached  string `json:"reached"`
		Version  string `json:"version"`
		Cipher   string `json:"cipher"`
		Verified string `json:"verified"`
	}
)

// writeJSON prints a report as one object on one line.
func writeJSON(w io.Writer, r smtpclient.Report) error {
	report := jsonReport{Recipients: []jsonOutcome{}, Seconds: r.Duration.Seconds()}
	for _, o := range r.Outcomes {
		report.Recipients = append(report.Recipients, newJSONOutcome(o))
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // so that <bob@example.net> stays readable
	return encoder.Encode(report)
}

func newJSONOutcome(o smtpclient.Outcome) jsonOutcome {
	outcome := jsonOutcome{
		Address:   o.Address,
		Status:    o.Status.String(),
		Action:    o.Action,
		Stage:     o.Stage.String(),
		Code:      o.Reply.Code,
		Enhanced:  o.Enhanced,
		Text:      reason(*o.Attempt),
		Host:      o.Host,
		Addr:      o.Addr,
		Reused:    o.Reused,
		Auth:      o.Login,
		TLS:       newJSONTLS(o.TLS),
		Durations: durations(o.Times),
		Attempts:  []jsonAttempt{},
	}
	for _, a := range o.Earlier {
		outcome.Attempts = append(outcome.Attempts, newJSONAttempt(a))
	}
	return outcome
}

func newJSONAttempt(a smtpclient.Attempt) jsonAttempt {
	return jsonAttempt{
		Host:     a.Host,
		Addr:     a.Addr,
		Stage:    a.Stage.String(),
		Code:     a.Reply.Code,
		Enhanced: a.Enhanced,
		Text:     reason(a),
		TLS:      newJSONTLS(a.TLS),
	}
}

func newJSONTLS(s tlspolicy.State) jsonTLS {
	return jsonTLS{
		Wanted:   s.Wanted.String(),
		Reached:  s.Reached.String(),
		Version:  tlsVersion(s.Version),
		Cipher:   tlsCipher(s.Cipher),
		Verified: s.Verified,
	}
}

// reason is the text of the reply that decided, or what decided without one.
func reason(a smtpclient.Attempt) string {
	if a.Reply.Code == 0 && a.Cause != nil {
		return a.Cause.Error()
	}
	return strings.Join(a.Reply.Lines, "\n")
}

// durations leaves out the stages that were not entered.
func durations(times smtpclient.StageTimes) map[string]float64 {
	seconds := map[string]float64{}
	for stage, d := range times {
		if d > 0 {
			seconds[smtpclient.Stage(stage).String()] = d.Seconds()
		}
	}
	return seconds
}

// tlsVersion gives "TLS1.3"; "" for plaintext.
func tlsVersion(version uint16) string {
	if version == 0 {
		return ""
	}
	return strings.ReplaceAll(tls.VersionName(version), " ", "")
}

// tlsCipher gives "TLS_AES_128_GCM_SHA256"; "" for plaintext.
func tlsCipher(suite uint16) string {
	if suite == 0 {
		return ""
	}
	return tls.CipherSuiteName(suite)
}
