package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"bob@good.example: delivered, TLS encrypt, ok\n",
		"carol@expired.example: deferred, TLS none, ",
		"dave@silent.example: delivered, TLS encrypt, ok\n",
		"report on good.example: 2 sessions were good, 0 were not; to mailto:reports@good.example: ok\n",
		"report on expired.example: 0 sessions were good, 1 were not; to https://example.com/reports: ok\n",
		"good.example has a report with a good signature of example.org\n",
		`"result-type": "certificate-expired"`,
		`"contact-info": "tlsrpt@example.org"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(out.String(), "report on silent.example") {
		t.Error("there is a report that nobody wants")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}
