package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"

	"gongji/consensus"
	"gongji/gateway/internal/policy"
)

// A request that is carried to the leader: frame version, method, target, the four signing headers, in version 2 the
// digest and the subject of the client's certificate, body. An answer that is carried back: frame version, status,
// flags, problem code, content type, body. All texts stand behind their length. A request without a certificate goes
// as version 1, which older nodes know.
const (
	frameVersion = 1
	framePeer    = 2
)

// Flags of an answer.
const (
	flagReplay     = 1
	flagRetryAfter = 2
)

// Bounds of the texts in a frame.
const (
	methodMax = 16
	targetMax = 8 << 10
	headerMax = 1 << 10
)

// errFrame: the bytes are no frame of this version. Both sides are nodes of one region, so it is a fault.
var errFrame = errors.New("api: not a frame")

// forwarded are the headers that the leader needs.
func forwarded() [4]string { return [4]string{headerKey, headerTime, headerNonce, headerSignature} }

// forward carries a request to the leader as it came. What cannot be carried was not done.
func (f *Face) forward(ctx context.Context, op *operation, r *http.Request, body []byte) answer {
	frame, err := encodeRequest(r, body)
	if err != nil {
		return f.refuseFor(ctx, op, refusal(err, false))
	}
	data, err := f.log.Ask(ctx, frame)
	if err != nil {
		return f.refuseFor(ctx, op, refusal(err, op.Write))
	}
	a, err := decodeAnswer(data)
	if err != nil {
		return f.refuseFor(ctx, op, refusal(err, op.Write))
	}
	return a
}

// Handler is what the Log gives the requests of the other nodes to.
func (f *Face) Handler() consensus.Handler { return f.handle }

// handle serves a carried request on the leader. It never carries it on: a node that has lost its leadership
// meanwhile says so, and the caller asks again.
func (f *Face) handle(ctx context.Context, request []byte) []byte {
	r, body, err := decodeRequest(ctx, request)
	if err != nil {
		return encodeAnswer(f.refuse(refusal(err, false)))
	}
	_, pattern := f.mux.Handler(r)
	op, ok := f.asked(r, pattern)
	if !ok {
		return encodeAnswer(f.unknownPath())
	}
	if l, _ := f.log.Leadership(); !l.Leader {
		return encodeAnswer(f.refuse(&Error{Code: policy.CodeNoLeader}))
	}
	release, ok := f.enter()
	if !ok {
		return encodeAnswer(f.refuseFor(ctx, op, &Error{Code: policy.CodeRateLimited}))
	}
	defer release()
	return encodeAnswer(f.perform(ctx, op, r, body))
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// cutText takes a text that may have most bytes off data, and returns what is left behind it.
func cutText(data []byte, most int) ([]byte, []byte, error) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n > uint64(most) || n > uint64(len(data)-size) {
		return nil, nil, errFrame
	}
	return data[size : size+int(n)], data[size+int(n):], nil
}

// encodeRequest makes a frame, or refuses what the decoder would.
func encodeRequest(r *http.Request, body []byte) ([]byte, error) {
	t := target(r)
	if len(t) > targetMax {
		return nil, malformed("", "The address is too long.", "请求地址过长。")
	}
	dst := make([]byte, 0, len(body)+len(t)+512)
	at := peerOf(r)
	version := byte(frameVersion)
	if at != (peer{}) {
		version = framePeer
	}
	dst = append(dst, version)
	dst = appendText(dst, r.Method)
	dst = appendText(dst, t)
	for _, name := range forwarded() {
		value := r.Header.Get(name)
		if len(value) > headerMax {
			return nil, &Error{Code: policy.CodeUnauthenticated}
		}
		dst = appendText(dst, value)
	}
	if version == framePeer {
		dst = appendText(appendText(dst, at.digest), at.subject)
	}
	return appendText(dst, body), nil
}

func decodeRequest(ctx context.Context, data []byte) (*http.Request, []byte, error) {
	if len(data) == 0 || (data[0] != frameVersion && data[0] != framePeer) {
		return nil, nil, errFrame
	}
	version := data[0]
	method, data, err := cutText(data[1:], methodMax)
	if err != nil {
		return nil, nil, err
	}
	uri, data, err := cutText(data, targetMax)
	if err != nil || len(uri) == 0 || uri[0] != '/' {
		return nil, nil, errFrame
	}
	r, err := http.NewRequestWithContext(ctx, string(method), "/", http.NoBody)
	if err != nil {
		return nil, nil, errors.Join(errFrame, err)
	}
	r.RequestURI = string(uri)
	if r.URL, err = url.ParseRequestURI(r.RequestURI); err != nil { // as net/http reads it
		return nil, nil, errors.Join(errFrame, err)
	}
	for _, name := range forwarded() {
		var value []byte
		if value, data, err = cutText(data, headerMax); err != nil {
			return nil, nil, err
		}
		if len(value) > 0 {
			r.Header.Set(name, string(value))
		}
	}
	if version == framePeer {
		var digest, subject []byte
		if digest, data, err = cutText(data, headerMax); err != nil {
			return nil, nil, err
		}
		if subject, data, err = cutText(data, headerMax); err != nil {
			return nil, nil, err
		}
		r = withPeer(r, peer{string(digest), string(subject)})
	}
	body, data, err := cutText(data, bodyMaxOf(r))
	if err != nil || len(data) != 0 {
		return nil, nil, errFrame
	}
	return r, bytes.Clone(body), nil
}

func encodeAnswer(a answer) []byte {
	dst := make([]byte, 0, len(a.body)+len(a.kind)+32)
	dst = append(dst, frameVersion)
	dst = binary.AppendUvarint(dst, uint64(a.status))
	flags := byte(0)
	if a.replay {
		flags |= flagReplay
	}
	if a.retryAfter {
		flags |= flagRetryAfter
	}
	dst = append(dst, flags)
	dst = appendText(dst, string(a.code))
	dst = appendText(dst, a.kind)
	return appendText(dst, a.body)
}

func decodeAnswer(data []byte) (answer, error) {
	if len(data) == 0 || data[0] != frameVersion {
		return answer{}, errFrame
	}
	status, size := binary.Uvarint(data[1:])
	if size <= 0 || status < http.StatusOK || status > 599 || len(data) < 2+size {
		return answer{}, errFrame
	}
	flags := data[1+size]
	code, data, err := cutText(data[2+size:], headerMax)
	if err != nil {
		return answer{}, err
	}
	kind, data, err := cutText(data, headerMax)
	if err != nil {
		return answer{}, err
	}
	body, data, err := cutText(data, consensus.AskMax)
	if err != nil || len(data) != 0 {
		return answer{}, errFrame
	}
	return answer{
		status: int(status), code: policy.Code(code), kind: string(kind), body: body,
		replay: flags&flagReplay != 0, retryAfter: flags&flagRetryAfter != 0,
	}, nil
}
