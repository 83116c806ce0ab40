package command

import "errors"

// Exit statuses of the program, which scripts go by.
const (
	StatusGood     = 0
	StatusRefused  = 1 // not good, refused, or it could not be done
	StatusUsage    = 2 // the command line cannot be understood
	StatusDoubtful = 3 // good, with a doubt that is told: a key was revoked afterwards, or an archive was missing
	StatusUnjudged = 4 // nobody can say: no directory that was given answers for a signature
)

// Status is the exit status for what Run returned.
func Status(err error) int {
	switch {
	case err == nil:
		return StatusGood
	case errors.Is(err, ErrUsage):
		return StatusUsage
	case errors.Is(err, ErrDoubtful):
		return StatusDoubtful
	case errors.Is(err, ErrUnjudged):
		return StatusUnjudged
	}
	return StatusRefused
}
