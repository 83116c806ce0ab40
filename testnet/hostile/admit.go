package hostile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/federation/kafkabus"
	"gongji/federation/root"
	"gongji/testnet/broker"
	"gongji/testnet/topology"
)

// inForceWait bounds the wait until a directory is in force on every node.
const inForceWait = 30 * time.Second

// Admit lets the fourth member into the federation of a data folder: its topics, and a directory that every node goes
// by when Admit returns. Errors: topology.ErrOther when the folder's fourth has been here before.
func Admit(ctx context.Context, data string, s topology.Session) error {
	var topics []string
	for _, r := range s.Regions {
		there := federation.Lane{From: federation.Region(r.Code), To: topology.Fourth}
		back := federation.Lane{From: there.To, To: there.From}
		topics = append(topics, there.Topic(), back.Topic())
	}
	if err := broker.CreateTopics(ctx, s.Kafka[0], topics); err != nil {
		return err
	}
	d, err := topology.Admit(topology.Layout{Dir: data}, sm3, time.Now())
	if err != nil {
		return err
	}
	return publish(ctx, s, d)
}

// Expel revokes the fourth member's keys, and returns when every node goes by that.
func Expel(ctx context.Context, data string, s topology.Session) error {
	d, err := topology.Expel(topology.Layout{Dir: data}, sm3, time.Now())
	if err != nil {
		return err
	}
	return publish(ctx, s, d)
}

func sm3(parts ...[]byte) [federation.HashSize]byte { return emm.New().Sum(parts...) }

// publish puts a directory on the topic and waits until it is in force.
func publish(ctx context.Context, s topology.Session, d *federation.Directory) error {
	bus, err := kafkabus.New(kafkabus.Options{Brokers: s.Kafka, CreateTopics: true})
	if err != nil {
		return err
	}
	if err = errors.Join(root.Post(ctx, bus, d), bus.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, inForceWait)
	defer cancel()
	w := NewWatch(s)
	for {
		ok := true
		for _, r := range s.Regions {
			counters, err := w.Counters(ctx, federation.Region(r.Code)) // a sum over the nodes
			ok = ok && err == nil && counters["gongji_directory_version"] >= float64(d.Version())*float64(len(r.Nodes))
		}
		if ok {
			return nil
		}
		if !pause(ctx) {
			return fmt.Errorf("hostile: version %d of the directory is not in force everywhere: %w", d.Version(), ctx.Err())
		}
	}
}
