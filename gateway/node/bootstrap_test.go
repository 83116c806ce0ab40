package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/config"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

type books struct {
	Accounts []struct {
		IDNumber string `json:"id_number"`
		Opening  string `json:"opening"`
		Balance  string `json:"balance"`
	} `json:"accounts"`
}

func (p *place) books() books {
	p.f.t.Helper()
	var b books
	status, body := p.admin("GET", "/admin/v1/books")
	if err := json.Unmarshal(body, &b); status != 200 || err != nil {
		p.f.t.Fatalf("books: %d %s", status, body)
	}
	return b
}

// TestImportedOnce: rules and persons come from the files into the state once; later changes of the files are none.
func TestImportedOnce(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.places(shanghai, 1, insured(shanghai, 1, "郑一", "100.00"), insured(shanghai, 2, "郑二", "200.00"))[0]
	p.cfg.RulesFile = filepath.Join(f.dir, "rules.json")
	p.rules("0.55")
	startAll(t, p)
	check := func() {
		t.Helper()
		rules, err := ask(t, p).Rules(t.Context())
		if err != nil || rules.AnnualShare != "0.55" {
			t.Errorf("rules: %+v, %v", rules, err)
		}
		got := p.books()
		if len(got.Accounts) != 2 || got.Accounts[0].Balance != "100.00" || got.Accounts[1].Opening != "200.00" {
			t.Errorf("books: %+v", got)
		}
	}
	check()
	p.stop()
	p.rules("0.66")
	f.write(p.cfg.Adapter.PeopleFile, config.People{People: []config.Person{
		insured(shanghai, 1, "郑一", "900.00"), insured(shanghai, 3, "郑三", "300.00"),
	}})
	startAll(t, p)
	check()
}

// rules writes a rules file with a share of its own.
func (p *place) rules(share string) {
	p.f.t.Helper()
	rules, err := rulebook.BuiltIn(p.cfg.Region)
	if err != nil {
		p.f.t.Fatal(err)
	}
	if rules.AnnualShare, err = money.ParseShare(share); err != nil {
		p.f.t.Fatal(err)
	}
	data, err := policy.EncodeRules(rules)
	if err == nil {
		err = os.WriteFile(p.cfg.RulesFile, data, 0o600)
	}
	if err != nil {
		p.f.t.Fatal(err)
	}
}

// TestManyPeople: more than one batch of persons, imported once each, whoever leads meanwhile.
func TestManyPeople(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	var people []config.Person
	for i := range 700 {
		people = append(people, insured(shanghai, i, fmt.Sprintf("冯%d", i), "1.00"))
	}
	people[699] = people[0] // stands twice
	places := f.places(shanghai, 3, people...)
	startAll(t, places...)
	if got := places[2].books(); len(got.Accounts) != 699 {
		t.Errorf("%d accounts", len(got.Accounts))
	}
}

// directory signs a version of the directory and writes it where the nodes look.
func (f *field) directory(p *place, change func(*federation.DirectoryData), signers ...federation.SignFunc) {
	f.t.Helper()
	data := f.keys.Data
	change(&data)
	signed, err := federation.SignDirectory(data, signers...)
	if err == nil {
		err = os.WriteFile(p.cfg.Directory.File, signed, 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// member reports whether the directory in force has a region: a grant's id of one is known to be elsewhere.
func (p *place) member(code string) bool {
	_, err := ask(p.f.t, p).Grant(p.f.t.Context(), "g-"+code+"-none")
	return err != nil && strings.Contains(err.Error(), "not_home_region")
}

// TestDirectoryFollows: a directory that follows the one in force is taken while the node runs; an older one,
// one that nobody of the root has signed and one that does not follow are refused, with an audit line, and change
// nothing.
func TestDirectoryFollows(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai, beijing)
	p := f.places(shanghai, 1, insured(shanghai, 1, "郑一", "100.00"))[0]
	startAll(t, p)
	if !p.member("110000") || p.member("650100") {
		t.Fatal("members of the first directory")
	}
	second := func(d *federation.DirectoryData) {
		d.Version, d.Previous = 2, fmt.Sprintf("%x", f.keys.Directory.Digest())
		m := federation.Member{Code: "650100", Name: "new", State: federation.MemberOpen, Protocol: 1}
		d.Members = append(slices.Clip(d.Members), m)
	}
	refusal := func() int { return bytes.Count(f.log.bytes(), []byte("directory_refused")) }
	refused := func(what string, change func(*federation.DirectoryData), sign federation.SignFunc) {
		t.Helper()
		before := refusal()
		f.directory(p, change, sign)
		until(t, what+" is refused", func() bool { return refusal() > before })
		if p.member("650100") {
			t.Errorf("%s is in force", what)
		}
	}
	stranger := f.keys.Regions[beijing].Sealer.Sign
	refused("a directory that the root has not signed", second, stranger)
	refused("a directory that does not follow", func(d *federation.DirectoryData) {
		second(d)
		d.Previous = strings.Repeat("0", 64)
	}, f.keys.Root.Sign)
	refused("an expired directory", func(d *federation.DirectoryData) {
		second(d)
		d.Expires = d.Issued.Add(time.Hour)
	}, f.keys.Root.Sign)
	f.directory(p, second, f.keys.Root.Sign)
	until(t, "the second directory is in force", func() bool { return p.member("650100") })
	before := refusal()
	f.directory(p, func(*federation.DirectoryData) {}, f.keys.Root.Sign)
	until(t, "the older directory is refused", func() bool { return refusal() > before })
	if !p.member("650100") {
		t.Error("the older directory is in force")
	}
}
