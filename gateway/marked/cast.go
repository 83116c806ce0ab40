package marked

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"

	"gongji/gateway/client"
	"gongji/gateway/config"
)

// Person is a synthetic person of a region.
type Person struct {
	config.Person

	Region string
}

// API is the person as a request has it.
func (p Person) API() client.Person {
	return client.Person{IDType: client.IDTypeResident, IDNumber: p.IDNumber, Name: p.Name, Region: p.Region}
}

// Masked is the number as it may stand anywhere.
func (p Person) Masked() string { return p.IDNumber[:6] + "********" + p.IDNumber[14:] }

// Cast are the persons of the story: a payer and the beneficiary live in two regions, and a second payer lives where
// the beneficiary does. Nobody knows the stranger.
type Cast struct {
	Payer, Remote, Child, Stranger Person
}

// NewCast makes persons that stand in no program and on no disk: all of their names and numbers is random.
func NewCast(visit, home string) Cast {
	const employee, resident, some = "310", "390", "5000.00"
	person := func(region, scheme, balance string) Person {
		return Person{Region: region, Person: config.Person{
			IDNumber: number(region), Name: name(), Scheme: scheme, Status: "1", Balance: balance, YearOpening: balance,
		}}
	}
	return Cast{
		Payer: person(visit, employee, some), Remote: person(home, employee, some), Child: person(home, resident, "0.00"),
		Stranger: person(visit, employee, "0.00"),
	}
}

// Texts are what nothing may show.
func (c Cast) Texts() []string {
	var out []string
	for _, p := range []Person{c.Payer, c.Remote, c.Child, c.Stranger} {
		out = append(out, p.IDNumber, p.Name)
	}
	return out
}

// People are those of one region who are insured there.
func (c Cast) People(region string) []config.Person {
	var out []config.Person
	for _, p := range []Person{c.Payer, c.Remote, c.Child} {
		if p.Region == region {
			out = append(out, p.Person)
		}
	}
	return out
}

// number makes an identity number of GB 11643-1999 of somebody grown up, with its check digit.
func number(region string) string {
	const checks = "10X98765432"
	weights := [...]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	body := fmt.Sprintf("%s19%02d%02d%02d%03d", region, 60+below(30), 1+below(12), 1+below(28), below(1000))
	sum := 0
	for i, w := range weights {
		sum += int(body[i]-'0') * w
	}
	return body + checks[sum%len(checks):][:1]
}

// name makes a name of five characters, so strange that it stands nowhere by chance.
func name() string {
	const first, count = 0x4e00, 0x5000 // CJK unified ideographs that every program can show
	var b strings.Builder
	b.WriteString("欧阳")
	for range 3 {
		b.WriteRune(rune(first + below(count)))
	}
	return b.String()
}

// below is a random number from 0 to n-1; that some come up a little more often does not matter.
func below(n int) int {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return int(binary.BigEndian.Uint32(b[:])) % n
}
