package simtest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/config"
)

// world is one simulated federation.
type world struct {
	seed      uint64
	rng       *rand.Rand // of the plans; used before anything runs
	story     *story
	net       *network
	broker    *broker
	busFaults *busFaults
	cache     *pebble.Cache
	root      config.Root
	directory []byte
	regions   []*region
	people    []*human
	lost      []*human // payer and patient of the region that lost its history
	ghostRing *keyfile.Ring
	work      sync.WaitGroup // every goroutine of the simulation
	books     *books
	enough    func() bool // no need to go on
	over      atomic.Bool // no machine starts any more
}

// region is one region: its machines, its keys, and whose money it keeps.
type region struct {
	code       string
	machines   []*machine
	ring       *keyfile.Ring
	peopleFile string
	trap       atomic.Pointer[trap]
	core       *adaptertest.SimCore // nil where the region has a Book
}

// human is one synthetic person.
type human struct {
	client.Person
	scheme  string
	balance int64 // fen
}

// The three regions; the last has a core system outside.
func regionCodes() []string { return []string{"110000", "310000", "350100"} }

const coreRegion = "350100"

// How many persons each region has.
const (
	payersEach        = 4
	beneficiariesEach = 2
	nodesEach         = 3
)

// setting is what a world is made of before its time begins: files, and what is read from them.
type setting struct {
	dir   string
	nodes int
}

func newWorld(seed uint64, s setting) (*world, error) {
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 0x706c616e)), story: newStory(), net: newNetwork(seed),
		busFaults: &busFaults{}, cache: pebble.NewCache(8 << 20),
	}
	w.broker = &broker{w: w}
	w.books = newBooks(w)
	for i, code := range regionCodes() {
		r := &region{code: code, peopleFile: filepath.Join(s.dir, code+".json")}
		for n := range s.nodes {
			m := &machine{
				w: w, region: r, id: fmt.Sprintf("%s-%d", code, n+1), addr: fmt.Sprintf("10.%d.0.%d:7000", i, n+1),
				disk: vfs.NewCrashableMem(),
			}
			m.offset.Store(int64(time.Duration(w.rng.IntN(160)-80) * time.Millisecond))
			r.machines = append(r.machines, m)
		}
		w.regions = append(w.regions, r)
	}
	if err := w.makePeople(); err != nil {
		return nil, err
	}
	return w, w.makeDirectory()
}

// makePeople draws who lives where, writes the people files, and fills the core system.
func (w *world) makePeople() error {
	for i, r := range w.regions {
		var file config.People
		if r.code == coreRegion {
			r.core = adaptertest.NewCore(w.seed, time.Now, goodDay())
			r.peopleFile = ""
		}
		each := payersEach + beneficiariesEach
		if r.code == ghostHome {
			each += 2
		}
		for k := range each {
			p := &human{Person: client.Person{
				IDType: client.IDTypeResident, IDNumber: number(r.code, i, k), Name: "王" + string([]rune("甲乙丙丁戊己庚辛")[k]) + string([]rune("京沪榕")[i]),
				Region: r.code,
			}, scheme: "310"}
			if k < payersEach || k == payersEach+beneficiariesEach {
				p.balance = int64(150_000 + w.rng.IntN(350_000))
				if r.code == coreRegion {
					p.balance += 200_000 // the floor of that region
				}
			}
			if k < payersEach+beneficiariesEach {
				w.people = append(w.people, p)
			} else {
				w.lost = append(w.lost, p)
			}
			file.People = append(file.People, config.Person{
				IDNumber: p.IDNumber, Name: p.Name, Scheme: p.scheme, Status: "1", Balance: yuan(p.balance),
				YearOpening: yuan(p.balance), Family: k,
			})
			if r.core != nil {
				r.core.AddPerson(adapters.Person{IDType: p.IDType, Number: p.IDNumber, Name: p.Name}, adapters.Account{
					Scheme: adapters.SchemeEmployee, Status: adapters.StatusNormal, Balance: p.balance,
					Year: adapters.BusinessYear(time.Now()), Opening: p.balance,
				})
			}
		}
		if r.core != nil {
			continue
		}
		raw, err := json.Marshal(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.peopleFile, raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// number is a synthetic identity number with its check digit (ISO 7064 MOD 11-2).
func number(code string, region, k int) string {
	body := fmt.Sprintf("%s19%02d0%d1%d%03d", code[:6], 60+region, 1+k%9, k%10, 100+10*region+k)
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, weight := range weights {
		sum += weight * int(body[i]-'0')
	}
	return body + string("10X98765432"[sum%11])
}

func yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }

// makeDirectory makes every region's keys, and the directory that lists them.
func (w *world) makeDirectory() error {
	now := time.Now()
	root, err := emm.New().Generate()
	if err != nil {
		return err
	}
	data := federation.DirectoryData{Version: 1, Issued: now.Add(-24 * time.Hour), Expires: now.Add(1000 * 24 * time.Hour)}
	codes := regionCodes()
	for i, r := range w.regions {
		r.ring = keyfile.NewMemory(emm.New(), keyfile.WithClock(time.Now))
		keys, err := fillRing(r.ring, now)
		if err != nil {
			return err
		}
		data.Members = append(data.Members, member(r.code, keys))
		for _, other := range codes[i+1:] {
			data.Pairs = append(data.Pairs, federation.Pair{
				A: federation.Region(r.code), B: federation.Region(other), From: "1999-01-01",
			})
		}
	}
	w.ghostRing = keyfile.NewMemory(emm.New(), keyfile.WithClock(time.Now))
	keys, err := fillRing(w.ghostRing, now)
	if err != nil {
		return err
	}
	data.Members = append(data.Members, member(ghostRegion, keys))
	data.Pairs = append(data.Pairs, federation.Pair{A: ghostHome, B: ghostRegion, From: "1999-01-01"})
	w.root = config.Root{ID: "root", Public: base64.StdEncoding.EncodeToString(root.Public())}
	w.directory, err = federation.SignDirectory(data, func(message []byte) (string, []byte, error) {
		signature, err := root.Sign(message)
		return "root", signature, err
	})
	return err
}

func member(code string, keys []federation.Key) federation.Member {
	return federation.Member{
		Code: federation.Region(code), Name: "模拟" + code, State: federation.MemberOpen, Protocol: federation.Version,
		Keys: keys,
	}
}

// fillRing makes a key of every use, and gives the two that the directory lists.
func fillRing(ring *keyfile.Ring, now time.Time) ([]federation.Key, error) {
	for _, use := range []crypto.Use{crypto.UseToken, crypto.UseEvidence} {
		if _, err := ring.Generate(use); err != nil {
			return nil, err
		}
	}
	if _, err := ring.Monthly(now); err != nil {
		return nil, err
	}
	var keys []federation.Key
	for use, listed := range map[crypto.Use]federation.KeyUse{
		crypto.UseSign: federation.UseSign, crypto.UseDecrypt: federation.UseSeal,
	} {
		id, err := ring.Generate(use)
		if err != nil {
			return nil, err
		}
		public, err := ring.Public(id)
		if err != nil {
			return nil, err
		}
		keys = append(keys, federation.Key{
			ID: id, Use: listed, Public: public, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(1000 * 24 * time.Hour),
		})
	}
	return keys, nil
}

func (w *world) machines() []*machine {
	var all []*machine
	for _, r := range w.regions {
		all = append(all, r.machines...)
	}
	return all
}

func (w *world) region(code string) *region {
	for _, r := range w.regions {
		if r.code == code {
			return r
		}
	}
	return nil
}

// start brings everything up and waits until every node is ready.
func (w *world) start() error {
	if err := w.broker.start(); err != nil {
		return err
	}
	for _, m := range w.machines() {
		if err := m.start(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, m := range w.machines() {
		l := m.running()
		if l == nil {
			return errors.New("a node did not stay up")
		}
		select {
		case <-l.node.Ready():
		case <-ctx.Done():
			return fmt.Errorf("node %s did not become ready", m.id)
		}
	}
	w.story.tell("world", "", "%d nodes are ready", len(w.machines()))
	return nil
}

// shutDown stops every node, for good.
func (w *world) shutDown() {
	w.story.end()
	w.over.Store(true)
	var stopping sync.WaitGroup
	for _, m := range w.machines() {
		stopping.Go(m.stop)
	}
	stopping.Wait()
}

// stop ends everything and waits for it: a bubble ends only when nothing is left in it.
func (w *world) stop() {
	w.shutDown()
	w.work.Wait()
	w.broker.stop()
	for _, ring := range []*keyfile.Ring{w.regions[0].ring, w.regions[1].ring, w.regions[2].ring, w.ghostRing} {
		if err := ring.Close(); err != nil {
			w.story.fault("ring: %v", err)
		}
	}
	w.cache.Unref()
	time.Sleep(idleMax)
}

// idleMax is how long kafka-go keeps a connection that nobody uses; in a bubble no time passes behind its end.
const idleMax = time.Minute
