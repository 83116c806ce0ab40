package national_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
	"gongji/gateway/internal/national"
)

type vectors struct {
	AppID           string `json:"app_id"`
	AppSecret       string `json:"app_secret"`
	Private         string `json:"private"`
	Public          string `json:"public"`
	Data            string `json:"data"`
	Version         string `json:"version"`
	Timestamp       string `json:"timestamp"`
	SignString      string `json:"sign_string"`
	Z               string `json:"z"`
	E               string `json:"e"`
	R               string `json:"r"`
	S               string `json:"s"`
	SignData        string `json:"sign_data"`
	SecretEncrypted string `json:"secret_encrypted"`
	K               string `json:"k"`
	EncData         string `json:"enc_data"`
	SM2Standard     struct {
		Message string `json:"message"`
		R       string `json:"r"`
		S       string `json:"s"`
	} `json:"sm2_standard"`
	SM4Standard struct {
		Key    string `json:"key"`
		Cipher string `json:"cipher"`
	} `json:"sm4_standard"`
	Pruned struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"pruned"`
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err = json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unbase(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func agreed() national.Dialect {
	return national.Dialect{Scalars: national.ScalarsKept, Timestamp: national.TimestampLocal}
}

// engine is what both engines are.
type engine interface {
	crypto.Suite
	crypto.Blocks
}

func engines(t testing.TB) []engine {
	t.Helper()
	var out []engine
	for _, s := range []crypto.Suite{emm.New(), gmsm.New()} {
		e, ok := s.(engine)
		if !ok {
			t.Fatalf("%s has no bare SM4", s.Name())
		}
		out = append(out, e)
	}
	return out
}

func envelope(v vectors) map[string]any {
	return map[string]any{
		"appId": v.AppID, "version": v.Version, "encType": "SM4", "signType": "SM2", "timestamp": v.Timestamp,
		"operation": "quote", "encData": v.EncData, "signData": v.SignData,
	}
}

// TestVectors: sign string, digest, signature, key and ciphertext of the published and of the synthetic vectors, with
// both engines.
func TestVectors(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	data, err := national.ParseObject([]byte(v.Data))
	if err != nil {
		t.Fatal(err)
	}
	members := national.Object{
		"appId": v.AppID, "version": v.Version, "encType": "SM4", "signType": "SM2", "timestamp": v.Timestamp, "data": data,
		"signData": "not signed", "encData": "not signed", "extra": "not signed", "empty": "",
	}
	for _, s := range []national.Scalars{national.ScalarsKept, national.ScalarsStrings, national.ScalarsFirstLevel} {
		d := agreed()
		d.Scalars = s // all scalars of the vector are strings: every dialect signs the same
		if got := string(national.SignString(members, v.AppSecret, d)); got != v.SignString {
			t.Errorf("%s:\n got %s\nwant %s", s, got, v.SignString)
		}
	}
	raw, der, err := national.RawSignature(v.SignData)
	if err != nil || !strings.EqualFold(hex.EncodeToString(raw), v.R+v.S) {
		t.Fatalf("signData is %x, %v", raw, err)
	}
	if back, err := national.SignData(der); err != nil || back != v.SignData {
		t.Errorf("back: %q, %v", back, err)
	}
	standard, err := national.SignData(append(append(unhex(t, "3046022100"), unhex(t, v.SM2Standard.R)...),
		append(unhex(t, "022100"), unhex(t, v.SM2Standard.S)...)...))
	if err != nil {
		t.Fatal(err)
	}
	_, standardDER, err := national.RawSignature(standard)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range engines(t) {
		if sum := e.Sum(unhex(t, v.Z), []byte(v.SignString)); hex.EncodeToString(sum[:]) != v.E {
			t.Errorf("%s: e is %x", e.Name(), sum)
		}
		verifier, err := e.Verifier(unbase(t, v.Public))
		if err != nil {
			t.Fatal(err)
		}
		if err = verifier.Verify([]byte(v.SignString), der); err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
		if err = verifier.Verify([]byte(v.SM2Standard.Message), standardDER); err != nil {
			t.Errorf("%s, the standard's example: %v", e.Name(), err)
		}
		checkCipher(t, e, v)
	}
}

func checkCipher(t *testing.T, e engine, v vectors) {
	t.Helper()
	block, err := e.Block(unhex(t, v.SM4Standard.Key))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 16)
	if block.Encrypt(out, unhex(t, v.SM4Standard.Key)); hex.EncodeToString(out) != v.SM4Standard.Cipher {
		t.Errorf("%s: SM4 gives %x", e.Name(), out)
	}
	secret, err := national.Encrypt(e.Block, []byte(v.AppID[:16]), []byte(v.AppSecret))
	if err != nil || secret != v.SecretEncrypted {
		t.Errorf("%s: the secret under the id is %s, %v", e.Name(), secret, err)
	}
	key, err := national.DataKey(e.Block, v.AppID, v.AppSecret)
	if err != nil || string(key) != v.K {
		t.Fatalf("%s: K is %s, %v", e.Name(), key, err)
	}
	enc, err := national.Encrypt(e.Block, key, []byte(v.Data))
	if err != nil || enc != v.EncData {
		t.Errorf("%s: encData is %s, %v", e.Name(), enc, err)
	}
	if plain, err := national.Decrypt(e.Block, key, v.EncData); err != nil || string(plain) != v.Data {
		t.Errorf("%s: opened %s, %v", e.Name(), plain, err)
	}
	if _, err := e.Block(make([]byte, 15)); err == nil {
		t.Errorf("%s takes a short key", e.Name())
	}
}

// TestPruned: what is empty is not signed, elements of lists included; numbers keep their digits and zero stays.
func TestPruned(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	from, err := national.ParseObject([]byte(v.Pruned.From))
	if err != nil {
		t.Fatal(err)
	}
	got := string(national.SignString(national.Object{"data": from}, "s", agreed()))
	if got != "data="+v.Pruned.To+"&key=s" {
		t.Errorf("got %s", got)
	}
	for text, want := range map[string][3]string{
		`{"n":1.50,"ok":true,"in":{"n":2,"l":[3,false]},"B":"x","a":"</\u2028\u0001\""}`: {
			`{"B":"x","a":"</` + "\u2028" + `\u0001\"","in":{"l":[3,false],"n":2},"n":1.50,"ok":true}`,
			`{"B":"x","a":"</` + "\u2028" + `\u0001\"","in":{"l":["3","false"],"n":"2"},"n":"1.50","ok":"true"}`,
			`{"B":"x","a":"</` + "\u2028" + `\u0001\"","in":{"l":[3,false],"n":2},"n":"1.50","ok":"true"}`,
		},
	} {
		o, err := national.ParseObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		scalars := []national.Scalars{national.ScalarsKept, national.ScalarsStrings, national.ScalarsFirstLevel}
		for i, s := range scalars {
			d := national.Dialect{Scalars: s, Timestamp: national.TimestampLocal}
			if got := string(national.SignString(national.Object{"data": o}, "s", d)); got != "data="+want[i]+"&key=s" {
				t.Errorf("%s:\n got %s\nwant %s", s, got, want[i])
			}
		}
	}
	// Where vendors sort without case, the last sort of the envelope does.
	o := national.Object{"b": "1", "C": "2", "a": "3"}
	d := national.Dialect{Scalars: national.ScalarsStrings, Timestamp: national.TimestampLocal}
	if got := string(national.SignString(o, "s", d)); got != "a=3&b=1&C=2&key=s" {
		t.Errorf("without case: %s", got)
	}
	if got := string(national.SignString(o, "s", agreed())); got != "C=2&a=3&b=1&key=s" {
		t.Errorf("ASCII: %s", got)
	}
}

// TestSealAndOpen: what one side seals the other opens, and a changed member is refused or signed otherwise.
func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for _, e := range engines(t) {
		private, err := e.Private(unbase(t, v.Private))
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := e.Verifier(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := national.Seal(national.Object{
			"appId": v.AppID, "version": v.Version, "timestamp": v.Timestamp, "operation": "quote",
		}, national.Object{"amount": "12.30", "empty": "", "list": []any{}}, v.AppSecret, agreed(), e.Block, private.Sign)
		if err != nil {
			t.Fatal(err)
		}
		verified := func(data []byte, secret string) bool {
			in, err := national.Read(data)
			if err != nil {
				return false
			}
			opened, err := in.Open(e.Block, secret, agreed())
			return err == nil && verifier.Verify(opened.Message, opened.Signature) == nil
		}
		if !verified(sealed, v.AppSecret) || verified(sealed, v.AppSecret+"x") {
			t.Fatalf("%s: %s", e.Name(), sealed)
		}
		in, _ := national.Read(sealed)
		opened, _ := in.Open(e.Block, v.AppSecret, agreed())
		if len(opened.Data) != 1 || opened.Data["amount"] != "12.30" {
			t.Errorf("%s: what was not signed is there: %v", e.Name(), opened.Data)
		}
		for _, member := range []string{"quote", v.Timestamp, `"` + v.Version, v.AppID[16:] + `"`} {
			changed := bytes.Replace(sealed, []byte(member), []byte(strings.Replace(member, member[:1], "9", 1)), 1)
			if verified(changed, v.AppSecret) || bytes.Equal(changed, sealed) {
				t.Errorf("%s: a changed %q is verified", e.Name(), member)
			}
		}
	}
}

// TestRefusedEnvelopes: what is not of the form is refused before any key is used.
func TestRefusedEnvelopes(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	read := func(change func(m map[string]any)) error {
		m := envelope(v)
		change(m)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		e, err := national.Read(data)
		if err != nil {
			return err
		}
		_, err = e.Open(engines(t)[0].Block, v.AppSecret, agreed())
		return err
	}
	if err := read(func(map[string]any) {}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(m map[string]any){
		"no appId":      func(m map[string]any) { delete(m, "appId") },
		"short appId":   func(m map[string]any) { m["appId"] = "short" },
		"no operation":  func(m map[string]any) { m["operation"] = "" },
		"plain":         func(m map[string]any) { m["encType"] = "plain" },
		"another sign":  func(m map[string]any) { m["signType"] = "SHA256" },
		"clear data":    func(m map[string]any) { m["data"] = map[string]any{} },
		"no time":       func(m map[string]any) { delete(m, "timestamp") },
		"another time":  func(m map[string]any) { m["timestamp"] = 1767240000 },
		"no hex":        func(m map[string]any) { m["encData"] = "xyz" },
		"half a block":  func(m map[string]any) { m["encData"] = v.EncData[:40] },
		"wrong padding": func(m map[string]any) { m["encData"] = v.EncData[:64] },
		"DER":           func(m map[string]any) { m["signData"] = base64.StdEncoding.EncodeToString(make([]byte, 71)) },
		"two spellings": func(m map[string]any) { m["signData"] = strings.Replace(v.SignData, "==", "=", 1) },
	} {
		if err := read(change); !errors.Is(err, national.ErrEnvelope) && !errors.Is(err, national.ErrData) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{
		"", "[]", "1", `{"a":1}x`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}",
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
	} {
		if _, err := national.ParseObject([]byte(text)); !errors.Is(err, national.ErrEnvelope) {
			t.Errorf("%q is taken: %v", text, err)
		}
	}
}

// TestTimestamps: each form is read back, and only its own.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 4, 0, 0, 0, time.UTC)
	for form, want := range map[national.Timestamp]string{
		national.TimestampLocal: "20260101120000", national.TimestampSeconds: "1767240000",
		national.TimestampMillis: "1767240000000",
	} {
		if got := form.Format(at); got != want {
			t.Errorf("%s: %s", form, got)
		}
		if got, err := form.Parse(want); err != nil || !got.Equal(at) {
			t.Errorf("%s: %s, %v", form, got, err)
		}
		for _, wrong := range []string{"", "x", "-1", "+1", "01", "2026-01-01", "20261301120000"} {
			if _, err := form.Parse(wrong); err == nil && wrong != "20261301120000" {
				t.Errorf("%s takes %q", form, wrong)
			}
		}
	}
	if (national.Dialect{Scalars: "other", Timestamp: national.TimestampLocal}).Valid() || !agreed().Valid() {
		t.Error("dialects")
	}
}

// FuzzEnvelope: nothing that is sent does more than be refused.
func FuzzEnvelope(f *testing.F) {
	v := readVectors(f)
	data, err := json.Marshal(envelope(v))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(v.Data))
	block := engines(f)[0].Block
	f.Fuzz(func(t *testing.T, data []byte) {
		if o, err := national.ParseObject(data); err == nil {
			again, err := national.ParseObject(o.JSON())
			if err != nil || !bytes.Equal(o.JSON(), again.JSON()) {
				t.Fatalf("%s is not written as it was read: %v", o.JSON(), err)
			}
		}
		if e, err := national.Read(data); err == nil {
			_, _ = e.Open(block, v.AppSecret, agreed())
		}
	})
}
