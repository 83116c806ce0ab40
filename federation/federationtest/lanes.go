package federationtest

import (
	"fmt"
	"sync/atomic"

	"gongji/federation"
)

// Lanes returns a function that names a lane nobody has used yet, for RunBusContract. At most
// 100,000 for each first digit.
func Lanes(firstDigit int) func() federation.Lane {
	var n atomic.Int64
	return func() federation.Lane {
		to := firstDigit*100000 + int(n.Add(1))
		return federation.Lane{From: Beijing, To: federation.Region(fmt.Sprintf("%06d", to%1000000))}
	}
}
