package hsm

import "errors"

// Raw logs in and sends one request of any bytes.
func Raw(o Options, role Role, pin, request []byte) error {
	p := newPool(o, role, pin, 1)
	defer p.close()
	l, err := p.open()
	if err != nil {
		return err
	}
	_, err = l.round(request, FrameMax)
	return errors.Join(err, l.c.Close())
}
