package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/crypto"
	"gongji/crypto/hsm"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/gateway/config"
)

const (
	keysEvery  = 5 * time.Second // how often a node looks whether its keys can be worked with
	keysReload = 6               // every so many looks it takes notice of keys that another process made or destroyed
)

// keyWatch is what a node tells of its keys.
type keyWatch struct {
	variable error // why secret keys are not worked with in constant time; nil: they are
	reached  prometheus.Gauge
	away     bool
}

// openKeys opens the region's keys where the configuration says they are.
func (n *Node) openKeys(chosen crypto.Suite) error {
	if err := n.watchKeys(chosen); err != nil {
		return err
	}
	n.keys = n.deps.Ring
	if n.keys != nil {
		return nil
	}
	if n.cfg.Keys.Module != "" {
		return n.openModule(chosen)
	}
	kek, err := n.kek()
	if err != nil {
		return err
	}
	order := crypto.Order{Who: "node " + n.cfg.NodeID, Reason: "rotation"}
	opened, err := keyfile.Open(n.cfg.Keys.Dir, kek, chosen, keyfile.WithOrder(order))
	if err != nil {
		return err
	}
	n.keys = opened
	n.owned = append(n.owned, opened)
	return nil
}

// watchKeys registers what is measured, and refuses engines that leak by their timing unless the operator has said that
// they may.
func (n *Node) watchKeys(chosen crypto.Suite) error {
	n.watch.variable = variableTime(chosen)
	if n.watch.variable != nil && !n.cfg.Crypto.VariableTime {
		return fmt.Errorf("node: crypto.variable_time is not set: %w", n.watch.variable)
	}
	leaks := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gongji_crypto_variable_time",
		Help: "1 if the time of operations with secret keys depends on the keys: engine gmsm, or no AES instructions.",
	})
	if n.watch.variable != nil {
		leaks.Set(1)
	}
	n.watch.reached = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gongji_keys_reached", Help: "1 if this node can work with the region's keys, 0 if their module is away.",
	})
	n.watch.reached.Set(1)
	return errors.Join(n.registry.Register(leaks), n.registry.Register(n.watch.reached))
}

// ErrVariableTime: engine gmsm computes with big numbers of any length, and the operator has not said that it may.
var ErrVariableTime = errors.New("engine gmsm works with secret keys in a time that depends on them")

// variableTime says why an engine does not work in constant time here, or returns nil.
func variableTime(chosen crypto.Suite) error {
	if chosen.Name() != config.EngineEMM {
		return ErrVariableTime
	}
	return emm.CheckPlatform()
}

// openModule connects to the process that has the keys. With keys in it, the engine of this process works with public
// keys and content keys only.
func (n *Node) openModule(chosen crypto.Suite) error {
	pin, err := keyfile.ReadPassphrase(n.cfg.Keys.PINFile)
	if err != nil {
		return fmt.Errorf("node: keys.pin_file: %w", err)
	}
	o := hsm.Options{Socket: n.cfg.Keys.Socket(), PIN: pin, Suite: chosen}
	if n.cfg.Keys.OfficerPINFile != "" {
		if o.Officer, err = keyfile.ReadPassphrase(n.cfg.Keys.OfficerPINFile); err != nil {
			return fmt.Errorf("node: keys.officer_pin_file: %w", err)
		}
	}
	c, err := hsm.Open(o)
	if err != nil {
		return fmt.Errorf("node: keys.module: %w", err)
	}
	n.keys = c
	n.owned = append(n.owned, c)
	return nil
}

func (n *Node) kek() (*keyfile.KEK, error) {
	if n.cfg.Keys.KEKFile != "" {
		return keyfile.ReadKEK(n.cfg.Keys.KEKFile)
	}
	passphrase, err := keyfile.ReadPassphrase(n.cfg.Keys.PassphraseFile)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	return keyfile.PassphraseKEK(passphrase, keyfile.DefaultCost())
}

// guardKeys says at the start what is weaker than it should be, and then looks after the keys until ctx ends.
func (n *Node) guardKeys(ctx context.Context) error {
	if why := n.watch.variable; why != nil {
		n.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "secret keys are not worked with in constant time",
			slog.String("reason", why.Error()))
		n.audited(ctx, "keys_variable_time", slog.String("reason", "variable_time"))
	}
	ticker := time.NewTicker(keysEvery)
	defer ticker.Stop()
	for looks := 1; ; looks++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		n.lookAtKeys(ctx, looks%keysReload == 0)
	}
}

// lookAtKeys tells once when the keys go away and once when they are back.
func (n *Node) lookAtKeys(ctx context.Context, reload bool) {
	_, err := n.keys.Current(crypto.UseSign)
	if err == nil && reload {
		err = n.keys.Reload()
	}
	switch {
	case err != nil && !n.watch.away:
		n.watch.away = true
		n.watch.reached.Set(0)
		n.deps.Logger.LogAttrs(ctx, slog.LevelError, "the keys cannot be worked with", slog.String("error", err.Error()))
		n.audited(ctx, "keys_away", slog.String("reason", "away"))
	case err == nil && n.watch.away:
		n.watch.away = false
		n.watch.reached.Set(1)
		n.audited(ctx, "keys_back")
	}
}
