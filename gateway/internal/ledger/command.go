package ledger

import (
	"errors"
	"fmt"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Kind names a command. The numbers stand in logs and are never reused; a node that meets a kind it does not
// know stops, since skipping it would make its state differ.
type Kind uint8

// The kinds.
const (
	KindTick          Kind = 1
	KindCreatePayment Kind = 2
	KindConfirm       Kind = 3
	KindCancel        Kind = 4
	KindDeliver       Kind = 5
	KindCoreResult    Kind = 6
	KindMakeGrant     Kind = 7
	KindChangeGrant   Kind = 8
	KindRevokeGrant   Kind = 9
	KindAcceptGrant   Kind = 10
	KindSetOrder      Kind = 11
	KindSetRules      Kind = 12
	KindSetDirectory  Kind = 13
	KindOpenAccounts  Kind = 14
	KindForceRelease  Kind = 15
	KindResumeLink    Kind = 16

	KindMakeMandate     Kind = 29
	KindEndMandates     Kind = 30
	KindCollectPremiums Kind = 31
	KindPremiumReport   Kind = 32
	KindWithdrawRules   Kind = 40
	KindCreateRefund    Kind = 17
	KindReturnResult    Kind = 18
	KindComplete        Kind = 20

	KindBeginEpoch        Kind = 60
	KindNoteDifferences   Kind = 61
	KindAcceptDifferences Kind = 62

	KindRegisterPlatform Kind = 70
	KindRevokePlatform   Kind = 71
	KindSpendNonce       Kind = 72
)

// ErrCommand: the bytes are no command of a kind and version that this program knows.
var ErrCommand = errors.New("ledger: not a command")

// Command is what a leader proposes. Ids, salts, tokens and everything that is random or secret was made by it.
type Command interface {
	record.Record
	Kind() Kind
}

// EncodeCommand writes a command as it stands in the log.
func EncodeCommand(c Command) []byte { return record.Append([]byte{1, byte(c.Kind())}, c) }

// DecodeCommand reads a command, or returns ErrCommand or record.ErrDamaged.
func DecodeCommand(data []byte) (Command, error) {
	if len(data) < 2 || data[0] != 1 {
		return nil, fmt.Errorf("%w: version", ErrCommand)
	}
	c := newCommand(Kind(data[1]))
	if c == nil {
		return nil, fmt.Errorf("%w: kind %d", ErrCommand, data[1])
	}
	if err := record.Decode(data[2:], c); err != nil {
		return nil, fmt.Errorf("ledger: command of kind %d: %w", data[1], err)
	}
	return c, nil
}

func newCommand(k Kind) Command {
	switch k { //nolint:exhaustive // the rest is made by newOperatorCommand
	case KindTick:
		return new(Tick)
	case KindCreatePayment, KindConfirm, KindCancel, KindComplete:
		return newPaymentCommand(k)
	case KindDeliver:
		return new(Deliver)
	case KindCoreResult:
		return new(CoreResult)
	case KindMakeGrant:
		return new(MakeGrant)
	case KindChangeGrant:
		return new(ChangeGrant)
	case KindRevokeGrant:
		return new(RevokeGrant)
	case KindAcceptGrant:
		return new(AcceptGrant)
	case KindSetOrder:
		return new(SetOrder)
	case KindSetRules:
		return new(SetRules)
	case KindSetDirectory:
		return new(SetDirectory)
	case KindOpenAccounts:
		return new(OpenAccounts)
	case KindForceRelease:
		return new(ForceRelease)
	case KindResumeLink:
		return new(ResumeLink)
	case KindMakeMandate, KindEndMandates, KindCollectPremiums, KindPremiumReport:
		return newPremiumCommand(k)
	case KindWithdrawRules:
		return new(WithdrawRules)
	case KindCreateRefund:
		return new(CreateRefund)
	case KindReturnResult:
		return new(ReturnResult)
	case KindSetStanding, KindRenounceGrant, KindEndInsurance, KindSweepGrants, KindRebuildIndex:
		return newLifeCommand(k)
	case KindRegisterPlatform, KindRevokePlatform, KindSpendNonce:
		return newPlatformCommand(k)
	case KindNameKeys, KindStartRotation, KindConfirmKey, KindStageRotation, KindRotatePage, KindDestroyKey,
		KindKeyDestroyed:
		return newKeysCommand(k)
	case KindLed, KindCutArchive, KindSealArchive, KindDropArchive, KindHoldArchives:
		return newArchiveCommand(k)
	}
	if c := newReunionCommand(k); c != nil {
		return c
	}
	return newOperatorCommand(k)
}

// Person is one person as a command carries them: tokens to find them by, and the sealed identity. New is
// the random person number that they get if the state does not know the token yet.
type Person struct {
	Token  [32]byte // of the number
	Name   [32]byte // of number and name together
	Sealed []byte   // the identity under a data key of the vault
	New    string
	Masked string   // number
	Called string   // masked name
	Region string   // home region
	Key    string   // id of the key of Token and Name
	Also   *Tokened // under the other key, while tokens are being rotated
}

// Walk is the record.Record of a Person.
func (p *Person) Walk(c *record.Coder) {
	c.Fixed(p.Token[:])
	c.Fixed(p.Name[:])
	c.Bytes(&p.Sealed)
	record.Str(c, &p.New)
	record.Str(c, &p.Masked)
	record.Str(c, &p.Called)
	record.Str(c, &p.Region)
	record.Str(c, &p.Key)
	record.Opt(c, &p.Also)
}

// Bundle is persons on their way to another region: sealed at rest, with the commitment that the message is signed
// with.
type Bundle struct {
	Sealed []byte
	Salt   [federation.SaltSize]byte
	Digest [federation.HashSize]byte
}

// Walk is the record.Record of a Bundle.
func (b *Bundle) Walk(c *record.Coder) {
	c.Bytes(&b.Sealed)
	c.Fixed(b.Salt[:])
	c.Fixed(b.Digest[:])
}

// Facts are what a core outside says of a person, at the time of a command.
type Facts struct {
	Known       bool
	Scheme      int
	Status      int
	Balance     money.Amount
	Held        money.Amount
	Year        int
	Opening     money.Amount
	Provisional bool
	Credited    money.Amount // since the opening
}

// Walk is the record.Record of Facts.
func (f *Facts) Walk(c *record.Coder) {
	c.Bool(&f.Known)
	record.Int(c, &f.Scheme)
	record.Int(c, &f.Status)
	record.Int(c, &f.Balance)
	record.Int(c, &f.Held)
	record.Int(c, &f.Year)
	record.Int(c, &f.Opening)
	c.Bool(&f.Provisional)
	record.Int(c, &f.Credited)
}

// Tick does what is due.
type Tick struct{}

// Kind and Walk make a Tick a Command.
func (*Tick) Kind() Kind { return KindTick }

// Walk walks over the fields: there are none.
func (*Tick) Walk(_ *record.Coder) {}

// OffersMax is how many offers a CreatePayment carries: more than any beneficiary's home makes. What is beyond is not
// written.
const OffersMax = 512

// Offer is a grant that the look-up offered.
type Offer struct {
	GrantID string
	Region  string
	Code    policy.Code // set: it is declined without being asked
}

// Walk is the record.Record of an Offer.
func (o *Offer) Walk(c *record.Coder) {
	record.Str(c, &o.GrantID)
	record.Str(c, &o.Region)
	record.Str(c, &o.Code)
}

// Bill is one bill of an institution.
type Bill struct {
	ID        string
	Total     money.Amount
	FundPaid  money.Amount
	SelfBorne money.Amount
	OwnPaid   money.Amount
}

// Walk is the record.Record of a Bill.
func (b *Bill) Walk(c *record.Coder) {
	record.Str(c, &b.ID)
	record.Int(c, &b.Total)
	record.Int(c, &b.FundPaid)
	record.Int(c, &b.SelfBorne)
	record.Int(c, &b.OwnPaid)
}

// CreatePayment is the first entry of a payment: everything that the look-up found is inside.
type CreatePayment struct {
	Request      Request
	PaymentID    string
	Beneficiary  Person
	Persons      Bundle
	Credential   string
	Institution  string
	InstKind     string
	Purpose      policy.Purpose
	VisitID      string
	VisitDate    policy.Date
	Bill         Bill
	Amount       money.Amount
	AllowPartial bool
	AutoConfirm  bool
	DecideWithin time.Duration
	Offers       []Offer
	Ticket       []byte
	Premium      string // the PremiumRecord that it pays; empty for all but the region's own collection
}

// Kind and Walk make a CreatePayment a Command.
func (*CreatePayment) Kind() Kind { return KindCreatePayment }

// Walk walks over the fields.
func (p *CreatePayment) Walk(c *record.Coder) {
	c.Sub(&p.Request)
	record.Str(c, &p.PaymentID)
	c.Sub(&p.Beneficiary)
	c.Sub(&p.Persons)
	record.Str(c, &p.Credential)
	record.Str(c, &p.Institution)
	record.Str(c, &p.InstKind)
	record.Str(c, &p.Purpose)
	record.Str(c, &p.VisitID)
	record.Int(c, &p.VisitDate)
	c.Sub(&p.Bill)
	record.Int(c, &p.Amount)
	c.Bool(&p.AllowPartial)
	c.Bool(&p.AutoConfirm)
	record.Int(c, &p.DecideWithin)
	// The offers come from another region, and a list above the codec's bound could not be read again.
	offers := p.Offers[:min(len(p.Offers), OffersMax)]
	record.List(c, &offers)
	p.Offers = offers
	c.Bytes(&p.Ticket)
	record.Str(c, &p.Premium)
}

// Confirm is the platform's decision to take Amount, or all that is held.
type Confirm struct {
	Request   Request
	PaymentID string
	All       bool
	Amount    money.Amount
}

// Kind and Walk make a Confirm a Command.
func (*Confirm) Kind() Kind { return KindConfirm }

// Walk walks over the fields.
func (p *Confirm) Walk(c *record.Coder) {
	c.Sub(&p.Request)
	record.Str(c, &p.PaymentID)
	c.Bool(&p.All)
	record.Int(c, &p.Amount)
}

// Cancel is the platform's decision to give back.
type Cancel struct {
	Request   Request
	PaymentID string
}

// Kind and Walk make a Cancel a Command.
func (*Cancel) Kind() Kind { return KindCancel }

// Walk walks over the fields.
func (p *Cancel) Walk(c *record.Coder) {
	c.Sub(&p.Request)
	record.Str(c, &p.PaymentID)
}

// CoreResult brings the answer of a core outside. It counts only if the hold still waits for that call.
type CoreResult struct {
	HoldID  string
	Call    hold.Action
	Refused string       // an adapters.Reason; empty: done
	Amount  money.Amount // held, or captured
	Facts   Facts        // of CallPerson
}

// Kind and Walk make a CoreResult a Command.
func (*CoreResult) Kind() Kind { return KindCoreResult }

// Walk walks over the fields.
func (r *CoreResult) Walk(c *record.Coder) {
	record.Str(c, &r.HoldID)
	record.Int(c, &r.Call)
	record.Str(c, &r.Refused)
	record.Int(c, &r.Amount)
	c.Sub(&r.Facts)
}

// SetDirectory puts a directory, whose signatures the leader has verified, into the state. An older one changes
// nothing; a forked one, and one that has expired by the log's stamp, are refused.
type SetDirectory struct{ Signed []byte }

// Kind and Walk make a SetDirectory a Command.
func (*SetDirectory) Kind() Kind { return KindSetDirectory }

// Walk walks over the fields.
func (s *SetDirectory) Walk(c *record.Coder) { c.Bytes(&s.Signed) }

// NewAccount is one person of the region's Book.
type NewAccount struct {
	Person Person
	Facts  Facts
}

// Walk is the record.Record of a NewAccount.
func (a *NewAccount) Walk(c *record.Coder) {
	c.Sub(&a.Person)
	c.Sub(&a.Facts)
}

// OpenAccounts opens accounts in the region's Book, once for each person.
type OpenAccounts struct {
	Accounts []NewAccount
	Done     string // the import that ends with this command
}

// Kind and Walk make an OpenAccounts a Command.
func (*OpenAccounts) Kind() Kind { return KindOpenAccounts }

// Walk walks over the fields.
func (o *OpenAccounts) Walk(c *record.Coder) {
	record.List(c, &o.Accounts)
	record.Str(c, &o.Done)
}

// ForceRelease is one operator's word on a hold in doubt.
type ForceRelease struct {
	HoldID   string
	Operator string
	Reason   string
	Second   string // another operator's, in the same entry
}

// Kind and Walk make a ForceRelease a Command.
func (*ForceRelease) Kind() Kind { return KindForceRelease }

// Walk walks over the fields.
func (f *ForceRelease) Walk(c *record.Coder) {
	record.Str(c, &f.HoldID)
	record.Str(c, &f.Operator)
	record.Str(c, &f.Reason)
	record.Str(c, &f.Second)
}

// DecodeOutcome reads what Propose handed back.
func DecodeOutcome(data []byte) (Outcome, error) {
	var o Outcome
	err := record.Decode(data, &o)
	return o, err
}
