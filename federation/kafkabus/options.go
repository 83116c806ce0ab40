package kafkabus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
)

// ErrOptions: options that no bus can be made of.
var ErrOptions = errors.New("kafkabus: bad options")

// DialFunc opens a connection to address (host:port).
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Options of a Bus. Zero durations and sizes take the defaults, which fit a broker some tens of milliseconds away.
type Options struct {
	// Brokers are the addresses (host:port) to start from; the others are learnt from them. At least one.
	Brokers []string
	// Dial replaces TCP, for a virtual network in simulations. Nil: TCP.
	Dial DialFunc
	// TLS, if not nil, is spoken to every broker. An empty ServerName becomes the broker's host.
	TLS *tls.Config
	// SASL, if not nil, authenticates every connection; see Plain.
	SASL sasl.Mechanism
	// ClientID names this program in the brokers' logs and quotas. Default "gongji".
	ClientID string
	// CreateTopics makes a lane's topic when it is missing, with the settings of topicConfig. For a testnet:
	// elsewhere the operator of the brokers makes topics, with their ACLs.
	CreateTopics bool
	// Replication is the replication factor of topics that are made. Default 1.
	Replication int

	// DialTimeout bounds a connection's making, TLS and SASL included. Default 1 s.
	DialTimeout time.Duration
	// RequestTimeout bounds one attempt of one request; a broker that hangs costs this once. Default 2 s.
	RequestTimeout time.Duration
	// PublishTimeout bounds a Publish with all its attempts. Default 10 s.
	PublishTimeout time.Duration
	// FetchWait is how long a Fetch waits at the broker when there is nothing. Default 500 ms, at most 1 s.
	FetchWait time.Duration
	// FetchBytes bounds one batch; at least one record comes, whatever its size. Default 2 MiB.
	FetchBytes int

	// Logger takes what operators should see: a lane that fails, and that works again. Nil: nothing is logged.
	Logger *slog.Logger
}

// Plain is SASL PLAIN, to be used under TLS only.
func Plain(user, password string) sasl.Mechanism {
	return plain.Mechanism{Username: user, Password: password}
}

func (o Options) withDefaults() (Options, error) {
	if len(o.Brokers) == 0 {
		return o, fmt.Errorf("%w: no brokers", ErrOptions)
	}
	for _, b := range o.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return o, fmt.Errorf("%w: broker %q: %w", ErrOptions, b, err)
		}
	}
	if o.FetchWait > time.Second || o.FetchBytes < 0 || o.Replication < 0 {
		return o, fmt.Errorf("%w: fetch wait, fetch bytes or replication out of range", ErrOptions)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	o.ClientID = orDefault(o.ClientID, "gongji")
	o.Replication = orDefault(o.Replication, 1)
	o.DialTimeout = orDefault(o.DialTimeout, time.Second)
	o.RequestTimeout = orDefault(o.RequestTimeout, 2*time.Second)
	o.PublishTimeout = orDefault(o.PublishTimeout, 10*time.Second)
	o.FetchWait = orDefault(o.FetchWait, 500*time.Millisecond)
	o.FetchBytes = orDefault(o.FetchBytes, 2<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
