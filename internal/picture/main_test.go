package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// The picture in the repository is what the program draws.
func TestPicture(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "message.svg")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ReplaceAll(string(text), "\r\n", "\n") != draw() {
		t.Errorf("%s is another one: go run ./internal/picture > docs/message.svg", file)
	}
}

// Every element ends, and nothing is outside of the picture.
func TestWellFormed(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(draw()))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if reportX+reportW > width || top+boxH+88 > height {
		t.Error("the picture is too small")
	}
}

// The outcomes are those that there are.
func TestOutcomes(t *testing.T) {
	for _, s := range []smtpclient.Status{smtpclient.Delivered, smtpclient.Deferred, smtpclient.Failed, smtpclient.Unknown} {
		found := false
		for _, o := range outcomes {
			found = found || strings.EqualFold(o[0], s.String())
		}
		if !found {
			t.Errorf("%v is missing", s)
		}
	}
}
