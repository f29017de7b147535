package smtpclient_test

import (
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// A Unix socket is a next hop like another: nothing is looked up, STARTTLS works,
// and the report says where the message went.
func TestSocketAsNextHop(t *testing.T) {
	server := &smtptest.Server{}
	defer server.Close()
	path := t.TempDir() + "/s"
	if _, err := server.Listen("unix", path); err != nil {
		t.Fatal(err)
	}
	client := holdClient(t, smtpclient.Client{Resolver: forbidden{t}, NextHops: []string{"unix:" + path + "-gone", "unix:" + path}, TLS: tlspolicy.Encrypt}, server)
	report, err := client.Deliver(t.Context(), fromAnn("bob@example.net", "postmaster"), smtpclient.Bytes([]byte(hello)))
	checkError(t, report, err)
	expect(t, report, "bob@example.net delivered data-done 2.0.0", "postmaster delivered data-done 2.0.0")
	o := report.Outcomes[0]
	if o.Addr != "unix:"+path || o.Host != path {
		t.Errorf("host %q, address %q", o.Host, o.Addr)
	}
	if len(o.Earlier) != 1 || o.Earlier[0].Stage != smtpclient.StageConnect || o.Earlier[0].Enhanced != "4.4.1" { // L14
		t.Errorf("earlier attempts %+v", o.Earlier)
	}
	if name := server.Messages()[0].TLS.ServerName; name != "" {
		t.Errorf("SNI is %q, but a path is no name", name)
	}
}
