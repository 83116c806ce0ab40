package settle_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/vault"
)

// TestGoBackN: without an ack everything from the first unacked number on is sent again, and only that.
func TestGoBackN(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		for range 3 {
			p.asks()
		}
		if got := numbers(p.sent()); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Fatalf("sent %v, want each number once", got)
		}
		passes(900 * time.Millisecond)
		if got := numbers(p.sent()); len(got) > 0 {
			t.Fatalf("sent %v again before the time", got)
		}
		passes(200 * time.Millisecond)
		if got := numbers(p.sent()); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Fatalf("sent again %v, want all three", got)
		}
		if got := p.count("gongji_messages_resent_total"); got != 3 {
			t.Errorf("%v counted as sent again", got)
		}
		p.tells(federation.Content{Ack: p.ack(2)})
		passes(500 * time.Millisecond)
		if l := p.linkRecord(); l.Out.Acked != 2 {
			t.Fatalf("the log has an ack of %d", l.Out.Acked)
		}
		p.sent()
		passes(1200 * time.Millisecond)
		if got := numbers(p.sent()); !slices.Equal(got, []uint64{3}) {
			t.Fatalf("after an ack of 2: %v", got)
		}
	})
}

// TestLostAcks: the peer has everything and its acks are lost: what it gets again it acks again, and then it is quiet.
func TestLostAcks(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		p.asks()
		passes(2500 * time.Millisecond)
		if got := numbers(p.sent()); !slices.Equal(got, []uint64{1, 1, 1}) {
			t.Fatalf("sent %v", got)
		}
		p.tells(federation.Content{Ack: p.ack(1)})
		passes(time.Second)
		p.tells(federation.Content{Ack: p.ack(2)}) // the leg was given up meanwhile: a release
		passes(time.Second)
		p.sent()
		passes(5 * time.Second)
		if got := numbers(p.sent()); len(got) > 0 {
			t.Errorf("%v sent after all was acked", got)
		}
		if p.linkRecord().Out.Waiting() != 0 {
			t.Error("the outbox is not empty")
		}
	})
}

// TestFalseAck: an ack of what was never sent, or of another epoch, says nothing.
func TestFalseAck(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		p.asks()
		p.tells(federation.Content{Ack: federation.Ack{Epoch: 1, Number: 9}})
		p.tells(federation.Content{Ack: federation.Ack{Epoch: 2, Number: 1}})
		passes(time.Second)
		if l := p.linkRecord(); l.Out.Acked != 0 {
			t.Errorf("acked %d", l.Out.Acked)
		}
	})
}

// TestHeartbeat: a parcel without messages goes out once in each interval, and none while other parcels flow.
func TestHeartbeat(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		passes(10 * time.Second)
		beats := p.sent()
		if len(beats) != 10 || len(numbers(beats)) > 0 {
			t.Errorf("%d parcels with %d messages in ten seconds", len(beats), len(numbers(beats)))
		}
	})
}

// TestAckDelay: an ack waits a moment for a parcel that carries it, and then leaves alone.
func TestAckDelay(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		delay := settle.DefaultTiming().AckDelay
		p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		passes(delay - time.Millisecond)
		if got := p.sent(); len(got) != 0 {
			t.Fatalf("%d parcels before the delay was over", len(got))
		}
		passes(2 * time.Millisecond)
		got := p.sent()
		ack := federation.Ack{Epoch: 1, Number: 1, Chain: p.link.Chain}
		if len(got) != 1 || got[0].Header.Ack != ack || len(got[0].Messages) > 0 {
			t.Fatalf("the ack did not leave alone: %d parcels", len(got))
		}
		p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		synctest.Wait()
		p.asks()
		got = p.sent()
		if len(got) != 1 || got[0].Header.Ack.Number != 2 || len(got[0].Messages) != 1 {
			t.Fatalf("the ack did not ride on a message: %d parcels", len(got))
		}
		passes(2 * delay)
		if got := p.sent(); len(got) != 0 {
			t.Errorf("an ack that had been carried left again")
		}
	})
}

// TestNewLeaderResends: the next leader begins from the first unacked number.
func TestNewLeaderResends(t *testing.T) {
	play(t, regiontest.Config{Nodes: 2}, func(t *testing.T, p *played) {
		p.asks()
		p.asks()
		p.tells(federation.Content{Ack: p.ack(1)})
		passes(400 * time.Millisecond)
		p.sent()
		lead, _ := p.sh.Log.Leadership()
		next := 1
		if !lead.Leader {
			next = 0
		}
		p.sh.Group.SetLeader(next)
		passes(100 * time.Millisecond)
		if got := numbers(p.sent()); !slices.Equal(got, []uint64{2}) {
			t.Errorf("the new leader sent %v", got)
		}
	})
}

// TestBusDown: parcels are tried on while the bus takes none, an operator is told once, and nothing is lost.
func TestBusDown(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		p.Bus.Cut(outLane())
		p.asks()
		passes(30 * time.Second)
		if got := strings.Count(p.sh.Output.String(), "the bus takes no parcel"); got != 1 {
			t.Errorf("an operator was told %d times", got)
		}
		p.sent()
		p.Bus.Mend(outLane())
		passes(3 * time.Second)
		if got := numbers(p.sent()); !slices.Contains(got, 1) || !slices.Contains(got, 2) {
			t.Errorf("sent %v after the bus was back", got)
		}
	})
}

// TestPersonsAreOpenedForAParcel: state and outbox have the person sealed; the parcel has them clear, with the
// commitment that the message was chained with, and the same leaf each time.
func TestPersonsAreOpenedForAParcel(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		p.asks()
		passes(1100 * time.Millisecond)
		sent := p.sent()
		var leaves [][federation.HashSize]byte
		for _, o := range sent {
			for i := range o.Messages {
				m := &o.Messages[i]
				if m.Class != federation.Numbered {
					continue
				}
				leaves = append(leaves, o.Leaves[i])
				who, err := vault.Read(m.Persons)
				if err != nil || who != beneficiary().Identity() {
					t.Fatalf("the parcel has no readable person: %v", err)
				}
				if m.PersonsDigest != federation.PersonsDigest(p.Root.Hash, m.PersonsSalt, m.Persons) {
					t.Error("the digest is not that of the persons")
				}
			}
		}
		if len(leaves) < 2 || leaves[0] != leaves[1] {
			t.Errorf("%d sendings of one message with different leaves", len(leaves))
		}
		p.clean(p.sh.Log)
	})
}

// clean fails if anything of the beneficiary stands clear in the state.
func (p *played) clean(log consensus.Log) {
	p.t.Helper()
	who := beneficiary()
	var marks [][]byte
	for _, s := range []string{who.IDNumber, who.Name} {
		marks = append(marks, []byte(s), []byte(hex.EncodeToString([]byte(s))))
	}
	seen := 0
	err := log.ReadStale(func(r consensus.Reader) error {
		r.Scan([]byte{0}, nil, func(key, value []byte) bool {
			seen++
			for _, m := range marks {
				if bytes.Contains(key, m) || bytes.Contains(value, m) {
					p.t.Errorf("a clear person under a key of kind %q", key[0])
				}
			}
			return true
		})
		return nil
	})
	if err != nil || seen == 0 {
		p.t.Errorf("%d keys, %v", seen, err)
	}
}
