package command_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"gongji/federation"
)

// keys are the ids of a region's keys, by use.
func (o *bureau) keysOf(code string) map[federation.KeyUse]string {
	o.t.Helper()
	var m federation.Member
	raw, err := os.ReadFile(o.path(code + ".json"))
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	ids := map[federation.KeyUse]string{}
	for _, k := range m.Keys {
		ids[k.Use] = k.ID
	}
	return ids
}

// cert runs a command about certificates.
func (o *bureau) cert(holder string, args ...string) {
	o.t.Helper()
	args = append([]string{"cert"}, args...)
	args = append(args, "--keys", o.path(holder), "--kek", o.path(holder+".kek"))
	if _, _, err := o.run(args...); err != nil {
		o.t.Fatalf("%v: %v", args, err)
	}
}

// TestDirectoryCertificates: nobody signs, and no region takes, a directory whose certificates are wrong.
func TestDirectoryCertificates(t *testing.T) {
	t.Parallel()
	o := newBureau(t)
	o.ring("ca")
	o.cert("ca", "root", "--name", "Pilot", "--out", o.path("root.pem"))
	o.now = o.now.Add(2 * time.Hour) // the offers are older than the certificates
	o.must("init --draft @v1.json --days 100", "trust --draft @v1.json --authority @root.pem")
	for _, code := range []string{"110000", "310000"} {
		o.cert(code, "csr", "--region", code, "--out", o.path(code+".csr"))
		o.cert("ca", "issue", "--ca", o.path("root.pem"), "--region", code, "--out", o.dir, o.path(code+".csr"))
		ids := o.keysOf(code)
		o.must("add-region --draft @v1.json --offer @"+code+".json",
			"certify --draft @v1.json "+code+" --key "+ids[federation.UseSign]+" --certificate @"+code+"-sign.pem")
		sealed := "certify --draft @v1.json " + code + " --key " + ids[federation.UseSeal] + " --certificate @" + code
		o.refuses(sealed + "-sign.pem")
		if code == "310000" {
			o.refuses(o.sign("v1.json", "a", "v1.signed", "")) // one key has none yet
		}
		o.must(sealed + "-seal.pem")
	}
	o.must(o.sign("v1.json", "a", "v1.signed", ""), o.sign("v1.signed", "b", "v1.signed", ""),
		"verify @v1.signed --roots @roots.yaml", "publish @v1.signed --roots @roots.yaml --to @live.json")

	printed, _, err := o.run("directory", "show", o.path("v1.signed"), "--json")
	if err != nil {
		t.Fatal(err)
	}
	o.write("again.json", printed) // all of it: a draft that says the same
	o.must("show @again.json")
	again, _, err := o.run("directory", "show", o.path("again.json"), "--json")
	for _, want := range []string{`"authorities"`, `"version": 1`, o.keysOf("310000")[federation.UseSeal]} {
		if err != nil || again != printed || !strings.Contains(printed, want) {
			t.Errorf("%q, %v in\n%s", want, err, printed)
		}
	}

	// The list names a certificate: the directory must say that the key is revoked.
	o.cert("ca", "revoke", "--ca", o.path("root.pem"), "--list", o.path("list.pem"), "--certificate",
		o.path("110000-sign.pem"))
	o.must("trust --draft @v2.json --previous @live.json --crl @list.pem")
	o.refuses(o.sign("v2.json", "a", "v2.signed", " --previous @live.json"))
	if !strings.Contains(o.story.String(), "证书已被撤销") {
		t.Error(o.story.String())
	}
	o.must("revoke --draft @v2.json 110000 --key "+o.keysOf("110000")[federation.UseSign],
		o.sign("v2.json", "a", "v2.signed", " --previous @live.json"))
}
