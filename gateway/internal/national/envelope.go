package national

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Names of an envelope's members.
const (
	memberAppID     = "appId"
	memberVersion   = "version"
	memberEncType   = "encType"
	memberSignType  = "signType"
	memberTimestamp = "timestamp"
	memberOperation = "operation"
	memberData      = "data"
	memberEncData   = "encData"
	memberSignData  = "signData"
	memberExtra     = "extra"
)

// Envelope is one message as it came. Its data is not yet opened.
type Envelope struct {
	AppID     string
	Version   string
	Operation string // what is asked; signed, as the address is not
	timestamp string
	encData   string
	signData  string
	members   Object
}

// Read reads an envelope, or returns ErrEnvelope.
func Read(data []byte) (Envelope, error) {
	o, err := ParseObject(data)
	if err != nil {
		return Envelope{}, err
	}
	e := Envelope{members: o}
	for _, f := range []struct {
		name string
		to   *string
	}{
		{memberAppID, &e.AppID},
		{memberVersion, &e.Version},
		{memberEncData, &e.encData},
		{memberSignData, &e.signData},
		{memberOperation, &e.Operation},
	} {
		s, ok := o[f.name].(string)
		if !ok || s == "" {
			return Envelope{}, fmt.Errorf("%w: %s", ErrEnvelope, f.name)
		}
		*f.to = s
	}
	switch t := o[memberTimestamp].(type) {
	case string:
		e.timestamp = t
	case json.Number:
		e.timestamp = t.String()
	}
	_, open := o[memberData]
	if o[memberEncType] != any(EncTypeSM4) || o[memberSignType] != any(SignTypeSM2) || open {
		return Envelope{}, fmt.Errorf("%w: encType is SM4, signType SM2, and data is encrypted", ErrEnvelope)
	}
	return e, nil
}

// Opened is an envelope whose data was decrypted. Before Message was verified with Signature it may be anybody's.
type Opened struct {
	At        time.Time
	Message   []byte // what was signed
	Raw       []byte // R ‖ S
	Signature []byte // the same as DER
	Data      Object // what was signed of it: without members that are empty
}

// Open decrypts an envelope. Errors: ErrEnvelope, ErrData.
func (e Envelope) Open(sm4 Block, secret string, d Dialect) (Opened, error) {
	at, err := d.Timestamp.Parse(e.timestamp)
	if err != nil {
		return Opened{}, err
	}
	key, err := DataKey(sm4, e.AppID, secret)
	if err != nil {
		return Opened{}, err
	}
	plain, err := Decrypt(sm4, key, e.encData)
	if err != nil {
		return Opened{}, err
	}
	data, err := ParseObject(plain)
	if err != nil {
		return Opened{}, ErrData
	}
	raw, der, err := RawSignature(e.signData)
	if err != nil {
		return Opened{}, err
	}
	whole := Object{}
	maps.Copy(whole, e.members)
	whole[memberData] = data
	signed, _ := prune(data)
	data, _ = signed.(Object)
	return Opened{At: at, Message: SignString(whole, secret, d), Raw: raw, Signature: der, Data: data}, nil
}

// SignString is what is signed: the members without signData, encData and extra, and without what is empty, sorted, as
// k=v joined by &, and the secret behind them. Objects and lists are compact JSON.
func SignString(members Object, secret string, d Dialect) []byte {
	by := strings.Compare
	if d.Scalars == ScalarsStrings {
		by = func(a, b string) int {
			return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
		}
	}
	var out []string
	for _, k := range sorted(members, by) {
		if k == memberSignData || k == memberEncData || k == memberExtra {
			continue
		}
		v, ok := prune(members[k])
		if !ok {
			continue
		}
		if k == memberData && d.Scalars == ScalarsStrings {
			v = stringify(v, depthMax+1)
		}
		if k == memberData && d.Scalars == ScalarsFirstLevel {
			v = stringify(v, 1)
		}
		out = append(out, k+"="+scalar(v))
	}
	return []byte(strings.Join(append(out, "key="+secret), "&"))
}

// Seal makes an envelope: members get data's ciphertext and the signature. sign returns DER.
func Seal(
	members, data Object, secret string, d Dialect, sm4 Block, sign func(message []byte) ([]byte, error),
) ([]byte, error) {
	appID, _ := members[memberAppID].(string)
	key, err := DataKey(sm4, appID, secret)
	if err != nil {
		return nil, err
	}
	whole := Object{}
	maps.Copy(whole, members)
	whole[memberEncType], whole[memberSignType], whole[memberData] = EncTypeSM4, SignTypeSM2, data
	der, err := sign(SignString(whole, secret, d))
	if err != nil {
		return nil, err
	}
	if whole[memberSignData], err = SignData(der); err != nil {
		return nil, err
	}
	if whole[memberEncData], err = Encrypt(sm4, key, data.JSON()); err != nil {
		return nil, err
	}
	delete(whole, memberData)
	return whole.JSON(), nil
}
