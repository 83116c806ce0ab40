package hostile

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/testnet/topology"
)

// Fourth is a fourth member with good keys, that nobody asked for. For one goroutine, but for a flood that it runs.
type Fourth struct {
	*Insider

	facts   Facts
	attacks []Attack
	flood   *flood // under way, or nil
}

// NewFourth opens the member's keys out of the testnet's folder. It must be in the directory by then.
func NewFourth(data string, brokers ...string) (*Fourth, error) {
	m, err := Open(data, topology.Fourth)
	if err != nil {
		return nil, err
	}
	return &Fourth{Insider: NewInsider(m, NewLanes(brokers...))}, nil
}

// Close ends a flood and lets go of keys and connections.
func (x *Fourth) Close() error {
	_, err := x.calm()
	x.Bus.Close()
	return errors.Join(err, x.Member.Close())
}

// Attacks makes the list of attacks on what the facts name. It asks for a ticket on the way, as a visit region may.
func (x *Fourth) Attacks(ctx context.Context, facts Facts) ([]Attack, error) {
	x.facts, x.attacks = facts, nil
	if err := x.invents(ctx); err != nil {
		return nil, err
	}
	x.lies()
	x.asks()
	if err := x.replays(ctx); err != nil {
		return nil, err
	}
	if err := x.forges(ctx); err != nil {
		return nil, err
	}
	x.breaks()
	return x.attacks, nil
}

// errAttack: an attack that is not on the list.
var errAttack = errors.New("hostile: there is no such attack")

// Send carries out the attack with that place in the list, and returns the offset of its record.
func (x *Fourth) Send(ctx context.Context, place int) (int64, error) {
	if place < 0 || place >= len(x.attacks) {
		return 0, errAttack
	}
	records, err := x.attacks[place].records()
	if err != nil {
		return 0, err
	}
	first, err := x.Bus.Put(ctx, x.attacks[place].lane, records...)
	return first + int64(len(records)) - 1, err
}

func (x *Fourth) add(a Attack) { x.attacks = append(x.attacks, a) }

// says is an attack by a message of the member's own.
func (x *Fourth) says(a Attack, class federation.Class, body, who []byte) {
	a.Peer, a.lane = x.Self, x.Lane(a.At)
	if a.Event == "" {
		a.Event, a.Counter = messageEvent, messagesRefused
	}
	a.records = func() ([][]byte, error) {
		if class == federation.Numbered {
			return x.one(a.At, x.Numbered(a.At, body, who))
		}
		return x.one(a.At, x.Message(class, body, who))
	}
	x.add(a)
}

func (x *Fourth) one(to federation.Region, messages ...federation.Message) ([][]byte, error) {
	record, err := x.Parcel(to, messages...)
	return [][]byte{record}, err
}

// invents makes up visits of a real beneficiary with a correct grant id.
func (x *Fourth) invents(ctx context.Context) error {
	f := &x.facts
	payment := x.NewID("p")
	ticket, err := x.LookUp(ctx, f.home(), payment, ClearPerson(f.Pair.Beneficiary), time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	list, err := x.Attempts(ctx, Target{
		Beneficiary: f.Pair.Beneficiary, PayerHome: f.payerHome(), Grant: f.Grant, OtherGrant: f.OtherGrant,
	}, ticket, payment)
	for _, a := range list {
		x.says(Attack{
			Kind: Invent, Name: "with " + a.Name, At: f.payerHome(), Event: ticketEvent, Reason: a.Why,
			Attr: "hold", Value: a.Hold.ID, Counter: ticketsRefused,
		}, federation.Numbered, a.Hold.Body(), a.Hold.Persons)
	}
	return err
}

// lies speaks of holds, payments and grants that are not the member's own.
func (x *Fourth) lies() {
	f := &x.facts
	who := ClearPerson(f.Pair.Beneficiary)
	lie := func(kind Kind, name string, at federation.Region, reason, id string, body, who []byte) {
		x.says(Attack{Kind: kind, Name: name, At: at, Reason: reason, Attr: "id", Value: id}, federation.Numbered, body, who)
	}
	of := func(kind protowire.Number, fields Fields) []byte { return BodyOf(kind, Record(fields)) }
	home, wanted := f.payerHome(), x.NewID("r")
	lie(Capture, "a capture of an open hold", home, "hold_not_own", f.Open.Hold,
		of(KindCapture, Fields{1: f.Open.Hold, 2: f.Open.Payment, 3: x.NewID("a"), 4: int64(FenAsked)}), nil)
	lie(Capture, "a second capture of a captured hold", home, "hold_not_own", f.Taken.Hold,
		of(KindCapture, Fields{1: f.Taken.Hold, 2: f.Taken.Payment, 3: x.NewID("a"), 4: int64(FenAsked)}), nil)
	lie(Capture, "a release of an open hold", home, "hold_not_own", f.Open.Hold,
		of(KindRelease, Fields{1: f.Open.Hold, 2: f.Open.Payment, 3: x.NewID("a")}), nil)
	lie(Capture, "a refund of what another took", home, "refund_not_own", wanted,
		of(KindRefund, Fields{1: wanted, 2: f.Taken.Hold, 3: f.Taken.Payment, 4: int64(FenAsked)}), nil)
	lie(Lie, "a hold for another's payment", home, "hold_not_own", "h-"+f.Pair.Visit+"-x",
		Hold{ID: "h-" + f.Pair.Visit + "-x", Payment: "p-" + f.Pair.Visit + "-x", Grant: f.Grant, Amount: 1}.Body(), who)
	lie(Lie, "an answer for another's leg", f.visit(), "payment_not_own", f.Open.Hold,
		of(KindHoldAnswer, Fields{1: f.Open.Hold, 2: int64(1)}), nil)
	lie(Lie, "an outcome of another's leg", f.visit(), "payment_not_own", f.Taken.Hold,
		of(KindOutcome, Fields{1: f.Taken.Hold, 3: "capture_failed"}), nil)
	lie(Lie, "the end of another's grant", f.home(), "grant_not_own", f.Grant,
		of(KindGrantNotice, Fields{1: f.Grant, 2: int64(99), 4: "revoked", 5: "2000-01-01"}), who)
	lie(Lie, "a consent to another's grant", home, "grant_not_own", f.Grant, of(KindGrantConsent, Fields{1: f.Grant}), who)
	lie(Lie, "a mandate on another's grant", f.home(), "mandate_not_own", "m-"+f.Pair.Payer.Region+"-x",
		of(KindMandateNotice, Fields{
			1: "m-" + f.Pair.Payer.Region + "-x", 2: f.Grant, 3: int64(1), 4: "resident_premium", 5: "active",
		}), who)
	x.says(Attack{Kind: Lie, Name: "a query on the link", At: home, Reason: "not_understood"}, federation.Numbered,
		of(KindLookUp, Fields{1: x.NewID("p"), 2: int64(1)}), who)
	x.says(Attack{Kind: Lie, Name: "an order in place of a query", At: home, Reason: "class"}, federation.Query,
		of(KindCapture, Fields{1: f.Open.Hold, 2: f.Open.Payment, 4: int64(FenAsked)}), nil)
	x.says(Attack{Kind: Lie, Name: "a person that nobody can read", At: home, Reason: "persons_unreadable"},
		federation.Numbered, of(KindGrantConsent, Fields{1: x.NewID("g")}), []byte{0xff, 0xff, 0xff})
}

// asks wants to know what is not its business: who has which grants, and what was paid under them.
func (x *Fourth) asks() {
	f := &x.facts
	who, renamed := ClearPerson(f.Pair.Beneficiary), f.Pair.Beneficiary
	renamed.Region = f.Pair.Visit // at home somewhere else
	lookUp := func(fields Fields) []byte {
		fields[1], fields[2], fields[3] = x.NewID("p"), int64(FenAsked), int64(FenAsked)
		fields[9] = time.Now().Add(time.Hour).UnixMicro()
		return BodyOf(KindLookUp, Record(fields))
	}
	ask := func(name string, at federation.Region, reason, id string, body, who []byte) {
		x.says(Attack{Kind: Ask, Name: name, At: at, Reason: reason, Attr: "id", Value: id}, federation.Query, body, who)
	}
	ask("a look-up without a credential", f.home(), "look_up", "remote_use_required", lookUp(Fields{5: "none"}), who)
	ask("a look-up of somebody under another home", f.home(), "look_up", "identity_mismatch",
		lookUp(Fields{5: client.CredentialECredential}), ClearPerson(renamed))
	ask("a look-up that names another's grant", f.home(), "grant_not_own", f.OtherGrant,
		lookUp(Fields{5: client.CredentialECredential, 7: f.OtherGrant, 8: int64(1)}), who)
	ask("a quote under another's grant", f.payerHome(), "grant_not_own", f.OtherGrant,
		BodyOf(KindQuote, Record(Fields{1: f.OtherGrant, 2: int64(FenAsked), 3: "outpatient", 4: "H1", 5: "v"})), who)
	day := time.Now().UTC().Format(time.DateOnly)
	x.says(Attack{Kind: Ask, Name: "a statement of another's person", At: f.payerHome(), Reason: "statement_not_own"},
		federation.Query, BodyOf(KindStatementAsk, Record(Fields{1: f.Grant, 2: day, 3: day})), who)
	stale := Attack{
		Kind: Ask, Name: "a question of yesterday", At: f.home(), Peer: x.Self, Event: messageEvent, Reason: "query_stale",
		Counter: messagesRefused, lane: x.Lane(f.home()),
	}
	stale.records = func() ([][]byte, error) {
		m := x.Message(federation.Query, lookUp(Fields{5: client.CredentialECredential}), who)
		record, err := x.Pack(f.home(), federation.Content{
			Time: time.Now().Add(-time.Minute), Messages: []federation.Message{m},
		})
		return [][]byte{record}, err
	}
	x.add(stale)
}

// breaks forks one link and begins another anew: what such a link says counts no more.
func (x *Fourth) breaks() {
	f := &x.facts
	broken := func(name string, at federation.Region, why string, records func() ([][]byte, error)) {
		x.add(Attack{
			Kind: Break, Name: name, At: at, Peer: x.Self, Event: linkEvent, Reason: why, Counter: linkStopped,
			Stage: AtTheEnd, lane: x.Lane(at), records: records,
		})
	}
	body := func() []byte {
		return BodyOf(KindCapture, Record(Fields{1: f.Open.Hold, 2: f.Open.Payment, 3: x.NewID("a"), 4: int64(FenAsked)}))
	}
	broken("the last number again with another content", f.visit(), "forked", func() ([][]byte, error) {
		said := x.Said[f.visit()]
		said.Last-- // whatever chain: it is another one
		x.Said[f.visit()] = said
		return x.one(f.visit(), x.Numbered(f.visit(), body(), nil))
	})
	broken("an epoch that nobody agreed on", f.home(), "new_epoch", func() ([][]byte, error) {
		record, err := x.Pack(f.home(), federation.Content{Epoch: 77})
		return [][]byte{record}, err
	})
	for _, at := range []federation.Region{f.payerHome(), f.home(), f.visit()} {
		x.trick(Break, "a word after its keys are revoked", x.Lane(at), federation.RefusedKeyRevoked,
			func() ([]byte, error) { return x.Parcel(at) })
		x.attacks[len(x.attacks)-1].Stage = Expelled
	}
}

// offset is how the audit log writes one.
func offset(n int64) string { return strconv.FormatInt(n, 10) }
