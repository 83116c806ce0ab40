package ledger_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// someone is a person, in the clear: the tests' vault.
type someone struct {
	number, name string
	home         federation.Region
}

func (s someone) clear() []byte { return []byte(s.number + "/" + s.name + "/" + string(s.home)) }

func parsePerson(t testing.TB, persons []byte) someone {
	t.Helper()
	p := strings.Split(string(persons), "/")
	if len(p) != 3 {
		t.Fatalf("no person: %q", persons)
	}
	return someone{p[0], p[1], federation.Region(p[2])}
}

// id makes an id of a region's own.
func (f *fed) id(letter string, r federation.Region) string {
	f.fresh++
	return fmt.Sprintf("%s-%s-%04d", letter, r, f.fresh)
}

func (f *fed) request() ledger.Request {
	f.fresh++
	return ledger.Request{Platform: "platform", ID: fmt.Sprintf("r-%d", f.fresh), Digest: hash([]byte{byte(f.fresh)})}
}

// person is somebody as a region's vault names them.
func (f *fed) person(at federation.Region, s someone) ledger.Person {
	return ledger.Person{
		Token: hash([]byte(at), []byte(s.number)), Name: hash([]byte(at), []byte(s.number), []byte(s.name)),
		Sealed: s.clear(), New: f.id("n", at), Masked: s.number[:1] + "***", Called: s.name[:1] + "*", Region: string(s.home),
	}
}

func (f *fed) bundle(s someone) ledger.Bundle {
	f.fresh++
	b := ledger.Bundle{Sealed: s.clear(), Salt: [16]byte{byte(f.fresh), byte(f.fresh >> 8)}}
	b.Digest = federation.PersonsDigest(hash, b.Salt, s.clear())
	return b
}

func employee(balance, opening money.Amount) ledger.Facts {
	return ledger.Facts{Known: true, Scheme: 310, Status: 1, Balance: balance, Year: 2026, Opening: opening}
}

func resident() ledger.Facts { return ledger.Facts{Known: true, Scheme: 390, Status: 1} }

// live makes somebody known at home, with an account.
func (f *fed) live(name string, home federation.Region, facts ledger.Facts) someone {
	f.t.Helper()
	f.fresh++
	s := someone{fmt.Sprintf("1101011990%04d001X", f.fresh), name, home}
	f.done(home, &ledger.OpenAccounts{Accounts: []ledger.NewAccount{{Person: f.person(home, s), Facts: facts}}})
	return s
}

// terms are those of a grant from a payer at home, without limits.
func (f *fed) terms(home federation.Region) grant.Terms {
	f.t.Helper()
	rules, err := rulebook.BuiltIn(string(home))
	if err != nil {
		f.t.Fatal(err)
	}
	digest := hash([]byte(rules.Commitment.TextZH))
	return grant.Terms{
		Relation: policy.RelationParent, Channel: policy.ChannelNationalApp,
		Consent:   grant.Consent{Version: rules.Commitment.Version, Digest: hex.EncodeToString(digest[:]), Signature: "c2ln"},
		ValidFrom: policy.Day(f.now), Funding: grant.FundingBalance,
	}
}

// granting is the command that makes a grant.
func (f *fed) granting(payer, beneficiary someone, terms grant.Terms) *ledger.MakeGrant {
	f.t.Helper()
	return &ledger.MakeGrant{
		Request: f.request(), GrantID: f.id("g", payer.home), Payer: f.person(payer.home, payer),
		Beneficiary: f.person(payer.home, beneficiary), Persons: f.bundle(beneficiary), Terms: terms,
		Standing: policy.Standing{Known: true, Scheme: policy.SchemeResident, Status: policy.StatusNormal},
	}
}

// grants makes a grant without limits and lets the beneficiary's home know.
func (f *fed) grants(payer, beneficiary someone) string {
	f.t.Helper()
	return f.grantsWith(payer, beneficiary, func(*grant.Terms) {})
}

func (f *fed) grantsWith(payer, beneficiary someone, change func(terms *grant.Terms)) string {
	f.t.Helper()
	terms := f.terms(payer.home)
	change(&terms)
	id := f.done(payer.home, f.granting(payer, beneficiary, terms)).ID
	f.flow()
	return id
}

// tokensOf are the tokens of a command's person.
func tokensOf(p ledger.Person) ledger.Tokens { return p.Tokens() }

// found is the number of a person.
func (f *fed) found(v ledger.View, p ledger.Person) (string, error) {
	f.t.Helper()
	found, err := v.Find(p.Tokens())
	return found.No, err
}
