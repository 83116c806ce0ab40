// Package realkafka runs Apache Kafka for integration tests: one process, broker and controller
// together (KRaft), with Java 17 and the jars from Maven, which are fetched once. It can be killed,
// started again, and robbed of its data.
//
// It is for tests and the testnet's scenarios. Only the process that it started is ever killed.
package realkafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gongji/internal/freeport"
)

// Version is the Apache Kafka that is run.
const Version = "4.1.0"

// LibsEnv names the folder of the jars; without it they are kept under the user's cache folder.
const LibsEnv = "GONGJI_KAFKA_LIBS"

// Times: how long each step may take on a slow machine. listenEvery is the pause between two looks.
const (
	fetchMax    = 10 * time.Minute
	formatMax   = 2 * time.Minute
	listenMax   = 2 * time.Minute
	listenEvery = 20 * time.Millisecond
)

// ErrKafka: Kafka could not be fetched, formatted or started.
var ErrKafka = errors.New("realkafka: no broker")

// Broker is one Apache Kafka. Not safe for concurrent use.
type Broker struct {
	libs, dir        string
	port, controller int
	replace          []string // settings instead of the default ones
	process          *exec.Cmd
	exited           chan struct{}
}

// Start fetches Kafka if needed, makes its folder under dir and runs it. It returns when the broker
// listens. Settings (name=value) are put in place of the default ones. Error: ErrKafka.
func Start(ctx context.Context, dir string, settings ...string) (*Broker, error) {
	libs, err := Libs(ctx)
	if err != nil {
		return nil, err
	}
	b := &Broker{libs: libs, dir: dir, replace: settings}
	for _, port := range []*int{&b.port, &b.controller} {
		if *port, err = freeport.Port(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKafka, err)
		}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKafka, err)
	}
	if err := os.WriteFile(b.file("server.properties"), b.properties(), 0o600); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKafka, err)
	}
	if err := b.format(ctx); err != nil {
		return nil, err
	}
	return b, b.Restart(ctx)
}

// Addr is where the broker listens.
func (b *Broker) Addr() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// Log is the path of what the broker printed.
func (b *Broker) Log() string { return b.file("kafka.log") }

// Kill ends the broker as a power cut would (SIGKILL) and returns when it is gone.
func (b *Broker) Kill() error {
	if b.process == nil {
		return nil
	}
	err := b.process.Process.Kill()
	<-b.exited
	b.process = nil
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("realkafka: kill: %w", err)
	}
	return nil
}

// Restart runs the broker on the data that it has, and returns when it listens. Error: ErrKafka.
func (b *Broker) Restart(ctx context.Context) error {
	if b.process != nil {
		return fmt.Errorf("%w: it runs", ErrKafka)
	}
	out, err := os.OpenFile(b.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKafka, err)
	}
	defer func() { _ = out.Close() }()
	// The process outlives ctx: Kill ends it.
	cmd := b.java(context.WithoutCancel(ctx), "kafka.Kafka", b.file("server.properties"))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: start: %w", ErrKafka, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, mostly
		close(exited)
	}()
	b.process, b.exited = cmd, exited
	if err := b.awaitListening(ctx); err != nil {
		return errors.Join(err, b.Kill())
	}
	return nil
}

// Wipe takes all data of a killed broker away, as a lost disk would, and formats an empty folder
// for it. Error: ErrKafka.
func (b *Broker) Wipe(ctx context.Context) error {
	if b.process != nil {
		return fmt.Errorf("%w: it runs", ErrKafka)
	}
	if err := os.RemoveAll(b.file("data")); err != nil {
		return fmt.Errorf("%w: %w", ErrKafka, err)
	}
	return b.format(ctx)
}

func (b *Broker) file(name string) string { return filepath.Join(b.dir, name) }

func (b *Broker) java(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{"-Xmx400m", "-XX:+UseSerialGC", "-cp", filepath.Join(b.libs, "*")}, args...)
	cmd := exec.CommandContext(ctx, "java", all...) //nolint:gosec // the arguments are this package's
	cmd.Dir = b.dir
	return cmd
}

func (b *Broker) format(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, formatMax)
	defer cancel()
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrKafka, err)
	}
	id[0] = 'a' // Kafka refuses an id that begins like an option
	cluster := base64.RawURLEncoding.EncodeToString(id[:])
	cmd := b.java(ctx, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", b.file("server.properties"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: format: %w: %s", ErrKafka, err, out)
	}
	return nil
}

func (b *Broker) properties() []byte {
	lines := []string{
		"process.roles=broker,controller",
		"node.id=1",
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", b.controller),
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", b.port, b.controller),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://127.0.0.1:%d", b.port),
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + b.file("data"),
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"auto.create.topics.enable=false",
	}
	for _, s := range b.replace {
		name, _, _ := strings.Cut(s, "=")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+"=") })
		lines = append(lines, s)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// awaitListening dials until somebody answers.
func (b *Broker) awaitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listenMax)
	defer cancel()
	tick := time.NewTicker(listenEvery)
	defer tick.Stop()
	for {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", b.Addr())
		if err == nil {
			return c.Close() //nolint:wrapcheck // nothing was said on it
		}
		select {
		case <-tick.C:
		case <-b.exited:
			return fmt.Errorf("%w: it ended: %s", ErrKafka, b.tail())
		case <-ctx.Done():
			return fmt.Errorf("%w: it does not listen: %w: %s", ErrKafka, ctx.Err(), b.tail())
		}
	}
}

// tail is the end of the broker's output, for an error.
func (b *Broker) tail() string {
	out, err := os.ReadFile(b.Log())
	if err != nil {
		return err.Error()
	}
	return string(out[max(0, len(out)-2000):])
}

// pom asks Maven for Kafka and all it needs.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>gongji</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + Version + `</version>
    </dependency>
  </dependencies>
</project>
`

// Libs returns the folder of Kafka's jars: that of LibsEnv, or one under the user's cache folder.
// It is filled by Maven if it is not there; programs that do so at the same time do not harm each
// other. Error: ErrKafka.
func Libs(ctx context.Context) (string, error) {
	dir := os.Getenv(LibsEnv)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrKafka, err)
		}
		dir = filepath.Join(cache, "gongji", "kafka-"+Version)
	}
	if filled(dir) {
		return dir, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchMax)
	defer cancel()
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return "", fmt.Errorf("%w: %w", ErrKafka, err)
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKafka, err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := fetch(ctx, work); err != nil {
		return "", err
	}
	// An empty folder may stand there; one that somebody else has filled meanwhile is as good as ours.
	_ = os.Remove(dir)
	if err := os.Rename(filepath.Join(work, "libs"), dir); err != nil && !filled(dir) {
		return "", fmt.Errorf("%w: %w", ErrKafka, err)
	}
	return dir, nil
}

func filled(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "kafka_2.13-"+Version+".jar"))
	return err == nil
}

func fetch(ctx context.Context, work string) error {
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), []byte(pom), 0o600); err != nil {
		return fmt.Errorf("%w: %w", ErrKafka, err)
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs")
	cmd.Dir = work
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: mvn: %w: %s", ErrKafka, err, out.Bytes()[max(0, out.Len()-2000):])
	}
	return nil
}
