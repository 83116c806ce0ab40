package command

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/federation"
	"gongji/federation/kafkabus"
)

func decodeBase64(s string) ([]byte, error) { return base64.StdEncoding.DecodeString(s) }

type rootKey struct{ ringFlags }

// Run makes a key of the root. Its private half never leaves the ring.
func (c *rootKey) Run(p *Program) error {
	var id string
	var public crypto.Public
	err := c.with(func(ring *keyfile.Ring) error {
		var err error
		if id, err = ring.Generate(crypto.UseSign); err != nil {
			return err
		}
		public, err = ring.Public(id)
		return err
	})
	if err != nil {
		return err
	}
	return p.print("  - id: %s\n    public: %s\n", id, base64.StdEncoding.EncodeToString(public))
}

type offer struct {
	ringFlags

	Code     string   `required:"" help:"The region's code."`
	Name     string   `required:"" help:"Its name."`
	Alias    []string `help:"Other codes or names of the pooling region."`
	Days     int      `default:"730" help:"Days for which the keys are to be valid."`
	Protocol uint16   `default:"1" help:"The highest version of the parcels' format that it speaks."`
}

// early: keys are valid from a while before now, for clocks that are a little behind.
const early = time.Hour

// Run prints the offer: every signing and decryption key of the ring, public halves only.
func (c *offer) Run(p *Program) error {
	end, err := p.in(c.Days)
	if err != nil {
		return err
	}
	m := federation.Member{
		Code: federation.Region(c.Code), Name: c.Name, Aliases: append([]string{}, c.Alias...),
		State: federation.MemberPilot, Protocol: c.Protocol,
	}
	if err = c.with(func(ring *keyfile.Ring) error { return offered(ring, &m, p.now().Add(-early), end) }); err != nil {
		return err
	}
	if len(m.Keys) == 0 {
		return fmt.Errorf("the ring %s has no signing and no decryption key", c.Keys)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return p.print("%s\n", text)
}

// offered lists every signing and decryption key of a ring.
func offered(ring *keyfile.Ring, m *federation.Member, from, to time.Time) error {
	for _, u := range []struct {
		ring crypto.Use
		use  federation.KeyUse
	}{{crypto.UseSign, federation.UseSign}, {crypto.UseDecrypt, federation.UseSeal}} {
		ids, err := ring.IDs(u.ring)
		if err != nil {
			return err
		}
		for _, id := range ids {
			public, err := ring.Public(id)
			if err != nil {
				return err
			}
			m.Keys = append(m.Keys, federation.Key{
				ID: id, Use: u.use, Public: public, Certificate: []byte{},
				NotBefore: from.UTC().Truncate(time.Second), NotAfter: to.UTC().Truncate(time.Second),
			})
		}
	}
	return nil
}

// kafkaFlags name the brokers.
type kafkaFlags struct {
	Brokers      []string `placeholder:"HOST:PORT" help:"Brokers of the topic."`
	CreateTopic  bool     `help:"Make the topic if it is missing."`
	Replicas     int      `default:"1" help:"Replicas of a topic that is made."`
	BrokerCA     string   `name:"broker-ca" placeholder:"FILE" help:"CA of the brokers' certificates, PEM: TLS is spoken."`
	User         string   `help:"SASL PLAIN user; needs TLS."`
	PasswordFile string   `placeholder:"FILE" help:"SASL PLAIN password."`
}

func (f *kafkaFlags) open() (*kafkabus.Bus, error) {
	o := kafkabus.Options{
		Brokers: f.Brokers, CreateTopics: f.CreateTopic, Replication: f.Replicas, ClientID: "gongji-directory",
	}
	if f.BrokerCA != "" {
		text, err := os.ReadFile(f.BrokerCA)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM", f.BrokerCA)
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	if f.User != "" {
		if o.TLS == nil {
			return nil, fmt.Errorf("%w: --user needs --broker-ca: a password is not sent in clear", ErrUsage)
		}
		password, err := os.ReadFile(f.PasswordFile)
		if err != nil {
			return nil, err
		}
		o.SASL = kafkabus.Plain(f.User, strings.TrimRight(string(password), "\r\n"))
	}
	return kafkabus.New(o)
}
