package topology_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/config"
	"gongji/gateway/trust"
	"gongji/testnet/topology"
)

// validNumber is GB 11643-1999, written apart from the maker's: the weighted sum of all 18 digits is 1 modulo 11.
func validNumber(s string) bool {
	if len(s) != 18 {
		return false
	}
	if _, err := time.Parse("20060102", s[6:14]); err != nil {
		return false
	}
	sum, weight := 0, 1
	for i := 17; i >= 0; i-- {
		digit := int(s[i] - '0')
		if i == 17 && s[i] == 'X' {
			digit = 10
		}
		sum += digit * weight
		weight = weight * 2 % 11
	}
	return sum%11 == 1
}

func TestPeople(t *testing.T) {
	people := topology.People()
	seen := map[string]bool{}
	type group struct{ region, scheme string }
	all, suspended, terminated, empty := map[group]int{}, map[group]int{}, map[group]int{}, map[string]int{}
	for _, p := range people {
		if !validNumber(p.IDNumber) || seen[p.IDNumber] {
			t.Errorf("%s (%s) is not a valid number, or stands twice", p.IDNumber, p.Name)
		}
		seen[p.IDNumber] = true
		g := group{p.Region, p.Scheme}
		all[g]++
		switch p.Status {
		case topology.StatusNormal:
		case topology.StatusSuspended:
			suspended[g]++
		case topology.StatusTerminated:
			terminated[g]++
		default:
			t.Errorf("status %s", p.Status)
		}
		if p.Scheme == topology.Resident && (p.Balance != "0.00" || p.YearOpening != "0.00") {
			t.Errorf("a resident has %s", p.Balance)
		}
		if p.Scheme == topology.Employee && p.Balance == "0.00" {
			empty[p.Region]++
		}
	}
	for _, r := range topology.Regions() {
		for _, scheme := range []string{topology.Employee, topology.Resident} {
			g := group{r.Code, scheme}
			if all[g] < 60 || suspended[g] < 2 || suspended[g] > 10 || terminated[g] < 1 {
				t.Errorf("%v: %d persons, %d suspended, %d terminated", g, all[g], suspended[g], terminated[g])
			}
		}
		if empty[r.Code] < 2 || empty[r.Code] > 10 {
			t.Errorf("%s: %d without balance", r.Code, empty[r.Code])
		}
	}
	if !slices.Equal(people, topology.People()) {
		t.Error("the people differ from call to call")
	}
}

func TestLoadPairs(t *testing.T) {
	const accounts = 300
	pairs := topology.LoadPairs(accounts)
	payers, beneficiaries, per := map[string]int{}, map[string]bool{}, map[string]int{}
	for _, p := range topology.People() {
		beneficiaries[p.IDNumber] = true // nobody of the session takes part in the load
	}
	for _, p := range pairs {
		regions := []string{p.Payer.Region, p.Beneficiary.Region, p.Visit}
		slices.Sort(regions)
		if len(slices.Compact(regions)) != 3 {
			t.Errorf("regions %v do not differ", regions)
		}
		if !validNumber(p.Payer.IDNumber) || !validNumber(p.Beneficiary.IDNumber) {
			t.Errorf("numbers of %s, %s", p.Payer.IDNumber, p.Beneficiary.IDNumber)
		}
		if beneficiaries[p.Beneficiary.IDNumber] || beneficiaries[p.Payer.IDNumber] {
			t.Errorf("%s or %s stands twice", p.Beneficiary.IDNumber, p.Payer.IDNumber)
		}
		beneficiaries[p.Beneficiary.IDNumber] = true
		if payers[p.Payer.IDNumber] == 0 {
			per[p.Payer.Region]++
		}
		payers[p.Payer.IDNumber]++
	}
	if len(payers) != accounts || pairs[0].Payer != pairs[1].Payer || pairs[0].Visit == pairs[1].Visit {
		t.Errorf("%d payers; the first two pairs are %v and %v", len(payers), pairs[0], pairs[1])
	}
	for _, r := range topology.Regions() {
		if per[r.Code] != accounts/3 {
			t.Errorf("%s has %d payers", r.Code, per[r.Code])
		}
	}
}

func TestMake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	plan := topology.Plan{BasePort: 21000, LoadAccounts: 9}
	if err := topology.Make(dir, plan, time.Now()); err != nil {
		t.Fatal(err)
	}
	got, ok, err := topology.Prepared(dir)
	if err != nil || !ok || got != plan || !topology.Complete(dir) {
		t.Fatalf("the folder says %+v, %v, %v", got, ok, err)
	}
	layout := topology.Layout{Dir: dir}
	for _, n := range plan.Nodes() {
		c, err := config.Load(layout.Config(n.ID))
		if err != nil {
			t.Fatal(err)
		}
		people, err := config.LoadPeople(c.Adapter.PeopleFile)
		if err != nil || len(people.People) < 120 {
			t.Errorf("%s: %d people, %v", n.ID, len(people.People), err)
		}
		for _, path := range []string{c.TLS.CAFile, c.TLS.CertFile, c.TLS.KeyFile, c.Directory.File, c.RulesFile} {
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		}
	}
	checkRing(t, layout)
	checkCertificates(t, layout)
	if err := topology.Clear(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// checkCertificates: every region has real double certificates, which lead to the directory's authorities.
func checkCertificates(t *testing.T, layout topology.Layout) {
	t.Helper()
	raw, err := os.ReadFile(layout.Directory())
	if err != nil {
		t.Fatal(err)
	}
	d, err := federation.LoadDirectory(emm.New().Sum, raw)
	if err != nil {
		t.Fatal(err)
	}
	data := d.Data()
	if len(data.Authorities) != 2 || len(data.RevocationLists) != 1 {
		t.Errorf("%d authorities, %d lists", len(data.Authorities), len(data.RevocationLists))
	}
	if problems := trust.CheckDirectory(emm.New(), data, nil, time.Now()); len(problems) != 1 ||
		problems[0].Reason != trust.ReasonNoList { // the root, whose key nobody has, signs none
		t.Error(problems)
	}
}

func checkRing(t *testing.T, layout topology.Layout) {
	t.Helper()
	for _, r := range topology.Regions() {
		kek, err := keyfile.ReadKEK(filepath.Join(layout.Region(r.Code), "kek"))
		if err != nil {
			t.Fatal(err)
		}
		ring, err := keyfile.Open(filepath.Join(layout.Region(r.Code), "keys"), kek, emm.New())
		if err != nil {
			t.Fatal(err)
		}
		uses := []crypto.Use{crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence}
		for _, use := range uses {
			if _, err := ring.Current(use); err != nil {
				t.Errorf("%s has no key of use %s: %v", r.Code, use, err)
			}
		}
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClearLeavesForeignFolders(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := topology.Clear(dir); !errors.Is(err, topology.ErrForeign) {
		t.Errorf("Clear gave %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestSession(t *testing.T) {
	dir := t.TempDir()
	plan := topology.Plan{BasePort: topology.BasePort, LoadAccounts: 3}
	s := topology.NewSession(plan, func(string) int { return 7 })
	if err := s.Write(topology.Layout{Dir: dir}.Session()); err != nil {
		t.Fatal(err)
	}
	read, err := topology.ReadSession(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(read)
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Error("the session reads back differently")
	}
	kinds := map[string]bool{}
	for _, i := range s.Institutions {
		kinds[i.Region+i.Kind] = true
	}
	for _, r := range s.Regions {
		if len(r.Nodes) != topology.NodesPerRegion || r.Nodes[0].PID != 7 ||
			!kinds[r.Code+"hospital"] || !kinds[r.Code+"pharmacy"] {
			t.Errorf("region %s: %+v", r.Code, r.Nodes)
		}
	}
}
