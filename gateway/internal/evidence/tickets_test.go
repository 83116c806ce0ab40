package evidence_test

import (
	"errors"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// The visit is in Beijing, the beneficiary's home is Fuzhou, the payer's home is Shanghai.
const (
	visit = regiontest.Beijing
	payer = regiontest.Shanghai
	home  = regiontest.Fuzhou
)

// shown is everything that a check of a ticket is about; each case changes one thing of a good one.
type shown struct {
	f       *regiontest.Federation
	dir     *federation.Directory
	signer  federation.Region // of the ticket
	to      federation.Region // whom it was signed for
	class   federation.Class
	ticket  *wirepb.Ticket
	other   *wirepb.Body // in the ticket's place
	spoil   func(*federation.Proof)
	raw     []byte // instead of all of these
	request *wirepb.HoldRequest
	who     vault.Identity            // whom the request is for
	salt    [federation.SaltSize]byte // of the request's own commitment to them
	origin  federation.Region
	at      time.Time
}

func good(f *regiontest.Federation) *shown {
	expires := time.Now().Add(time.Minute).Truncate(time.Microsecond)
	return &shown{
		f: f, dir: f.Directory, signer: home, to: visit, class: federation.Answer,
		ticket: &wirepb.Ticket{
			PaymentId: "p-110000-1", VisitRegion: string(visit), Amount: 100, Expires: expires.UnixMicro(),
			Offers: []*wirepb.Offer{
				{GrantId: "g-110000-0", Region: string(visit)},
				{GrantId: "g-310000-1", Region: string(payer)},
			},
		},
		request: &wirepb.HoldRequest{HoldId: "h-110000-1-1", PaymentId: "p-110000-1", GrantId: "g-310000-1", Amount: 100},
		who:     person(), origin: visit, at: expires,
	}
}

func person() vault.Identity { return regiontest.Resident(string(home), "林秀兰", 1).Identity() }

// sign makes the proof of the ticket.
func (s *shown) sign(t *testing.T) []byte {
	t.Helper()
	if s.raw != nil {
		return s.raw
	}
	body := s.other
	if body == nil {
		body = &wirepb.Body{Kind: &wirepb.Body_Ticket{Ticket: s.ticket}}
	}
	m := federation.Message{Class: s.class, Body: wire.Encode(body), Persons: vault.Clear(person())}
	m.Salt[0], m.PersonsSalt[0] = 1, 1
	if s.class == federation.Numbered {
		m.Number, m.Chain[0] = 1, 1
	} else {
		m.ID[0] = 1
	}
	sealer := s.f.Regions[s.signer].Sealer
	m.PersonsDigest = federation.PersonsDigest(sealer.Hash, m.PersonsSalt, m.Persons)
	c := federation.Content{To: s.to, Time: time.Now(), Messages: []federation.Message{m}, Protocol: federation.Version}
	c.ParcelID[0] = 1
	proof, err := federation.SignSingle(s.f.Directory, sealer, s.signer, c)
	if err != nil {
		t.Fatal(err)
	}
	if s.spoil != nil {
		s.spoil(&proof)
	}
	return federation.EncodeProof(proof)
}

func (s *shown) check(t *testing.T) error {
	t.Helper()
	s.request.Ticket = s.sign(t)
	tickets := evidence.NewTickets(payer, s.f.Regions[payer].Sealer)
	return tickets.Check(s.dir, s.origin, s.request, s.shown(), s.at)
}

func (s *shown) shown() evidence.Shown { return evidence.Shown{Who: s.who, Salt: s.salt} }

func federationOf(t *testing.T) *regiontest.Federation {
	t.Helper()
	f, err := regiontest.New(regiontest.Config{
		Codes: []federation.Region{payer}, Absent: []federation.Region{visit, home},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTickets: a good ticket is taken, and each single thing that is wrong with one is refused.
func TestTickets(t *testing.T) {
	t.Parallel()
	f := federationOf(t)
	revoked := f.Data
	revoked.Members = append([]federation.Member(nil), f.Data.Members...)
	for i := range revoked.Members {
		if revoked.Members[i].Code == home {
			keys := append([]federation.Key(nil), revoked.Members[i].Keys...)
			for k := range keys {
				keys[k].Revoked = true
			}
			revoked.Members[i].Keys = keys
		}
	}
	signed, err := federation.SignDirectory(revoked, f.Root.Sign)
	if err != nil {
		t.Fatal(err)
	}
	without, err := federation.LoadDirectory(f.Root.Hash, signed)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*shown)
		taken  bool
	}{
		"good": {func(*shown) {}, true},
		"without its salt, under the request's": {func(s *shown) {
			s.spoil = func(p *federation.Proof) { *p = p.Blind() }
			s.salt[0] = 1
		}, true},
		"without its salt, under another": {func(s *shown) {
			s.spoil = func(p *federation.Proof) { *p = p.Blind() }
			s.salt[0] = 2
		}, false},
		"for less than it allows": {func(s *shown) { s.request.Amount = 1 }, true},
		"none":                    {func(s *shown) { s.raw = []byte{} }, false},
		"no directory":            {func(s *shown) { s.dir = nil }, false},
		"not a proof":             {func(s *shown) { s.raw = []byte("ticket") }, false},
		"another body": {func(s *shown) {
			s.spoil = func(p *federation.Proof) { p.Body = append(p.Body, p.Body...) }
		}, false},
		"another signature": {func(s *shown) {
			s.spoil = func(p *federation.Proof) { p.Signature[len(p.Signature)-1] ^= 1 }
		}, false},
		"a revoked key": {func(s *shown) { s.dir = without }, false},
		"another kind of answer": {func(s *shown) {
			s.other = &wirepb.Body{Kind: &wirepb.Body_QuoteAnswer{QuoteAnswer: &wirepb.QuoteAnswer{Amount: 100}}}
		}, false},
		"a numbered message":         {func(s *shown) { s.class = federation.Numbered }, false},
		"a question":                 {func(s *shown) { s.class = federation.Query }, false},
		"signed by the visit region": {func(s *shown) { s.signer = visit }, false},
		"signed by the payer's home": {func(s *shown) { s.signer = payer }, false},
		"another person": {func(s *shown) {
			s.who = regiontest.Resident(string(home), "林秀兰", 2).Identity()
		}, false},
		"another name": {func(s *shown) {
			s.who = regiontest.Resident(string(home), "林秀英", 1).Identity()
		}, false},
		"no person":                 {func(s *shown) { s.who = vault.Identity{Region: string(home)} }, false},
		"signed for another region": {func(s *shown) { s.to = payer }, false},
		"of a visit elsewhere":      {func(s *shown) { s.ticket.VisitRegion = string(payer) }, false},
		"shown by another region":   {func(s *shown) { s.origin = home }, false},
		"of a refused look-up":      {func(s *shown) { s.ticket.Code = "own_account_first" }, false},
		"another payment":           {func(s *shown) { s.request.PaymentId = "p-110000-2" }, false},
		"of a quote":                {func(s *shown) { s.ticket.PaymentId, s.request.PaymentId = "", "" }, false},
		"more than it allows":       {func(s *shown) { s.request.Amount = 101 }, false},
		"expired":                   {func(s *shown) { s.at = s.at.Add(time.Microsecond) }, false},
		"another grant":             {func(s *shown) { s.request.GrantId = "g-310000-2" }, false},
		"a grant of another region": {func(s *shown) { s.request.GrantId = "g-110000-0" }, false},
		"no offers":                 {func(s *shown) { s.ticket.Offers = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good(f)
			tc.change(s)
			err := s.check(t)
			if tc.taken && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tc.taken && !errors.Is(err, evidence.ErrTicket) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestRevokedAfterUse: a signature that was remembered as good is refused once its key is revoked.
func TestRevokedAfterUse(t *testing.T) {
	t.Parallel()
	f := federationOf(t)
	s := good(f)
	s.request.Ticket = s.sign(t)
	tickets := evidence.NewTickets(payer, f.Regions[payer].Sealer)
	for range 2 {
		if err := tickets.Check(f.Directory, s.origin, s.request, s.shown(), s.at); err != nil {
			t.Fatal(err)
		}
	}
	for i := range f.Data.Members {
		for k := range f.Data.Members[i].Keys {
			f.Data.Members[i].Keys[k].Revoked = f.Data.Members[i].Code == home
		}
	}
	signed, err := federation.SignDirectory(f.Data, f.Root.Sign)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := federation.LoadDirectory(f.Root.Hash, signed)
	if err != nil {
		t.Fatal(err)
	}
	if err := tickets.Check(dir, s.origin, s.request, s.shown(), s.at); !errors.Is(err, evidence.ErrTicket) {
		t.Errorf("got %v", err)
	}
}

// FuzzTickets: bytes in a ticket's place are refused, whatever they are, and nothing else happens.
func FuzzTickets(f *testing.F) {
	w, err := regiontest.New(regiontest.Config{
		Codes: []federation.Region{payer}, Absent: []federation.Region{visit, home},
	})
	if err != nil {
		f.Fatal(err)
	}
	tickets := evidence.NewTickets(payer, w.Regions[payer].Sealer)
	f.Add([]byte("ticket"))
	f.Add(federation.EncodeProof(federation.Proof{Header: []byte{1}, Signature: []byte{2}, Body: []byte{3}}))
	f.Fuzz(func(t *testing.T, ticket []byte) {
		s := good(w)
		s.request.Ticket = ticket
		err := tickets.Check(w.Directory, s.origin, s.request, s.shown(), s.at)
		if !errors.Is(err, evidence.ErrTicket) {
			t.Errorf("got %v", err)
		}
	})
}
