package ledger

import (
	"time"

	"gongji/gateway/internal/policy"
)

// SeasonStep is what is next in the collection of a purpose.
type SeasonStep uint8

// The steps.
const (
	SeasonRest    SeasonStep = iota // nothing is due today
	SeasonCollect                   // persons are still to be gone through today
	SeasonClose                     // the season is over, and something of it is not closed yet
)

// NextStep says what is next for a purpose, by the rules in force: the leader asks before it proposes, and Apply asks
// again. s is nil before the first season.
func NextStep(rules policy.RuleBook, p policy.Purpose, s *SeasonRecord, now time.Time) (policy.Premium, SeasonStep) {
	day := policy.Day(now)
	inForce, err := rules.At(day)
	if err != nil {
		return policy.Premium{}, SeasonRest
	}
	premium, ok := inForce.Premium(p)
	inSeason := ok && premium.InSeason(day)
	begun := s != nil && s.Year != 0
	switch {
	case begun && !s.Closed && (!inSeason || s.Year != premiumYear(now)):
		return premium, SeasonClose
	case !inSeason:
		return premium, SeasonRest
	case !begun || s.Year != premiumYear(now) || s.Closed || s.Day != day || !s.Done:
		return premium, SeasonCollect
	}
	return premium, SeasonRest
}

// premiumYear is the year that a premium collected now is for: the next one.
func premiumYear(now time.Time) int { return policy.Year(now) + 1 }

// pass prepares the season for the pass of a day.
func (s *SeasonRecord) pass(now time.Time) {
	if year := premiumYear(now); s.Year != year {
		*s = SeasonRecord{Year: year}
	}
	day := policy.Day(now)
	if s.Day != day || s.Closing || s.Closed { // the rules may have reopened a season
		s.Day, s.After, s.Done = day, "", false
		s.Closing, s.Closed = false, false
	}
}

// close prepares the season for its last pass.
func (s *SeasonRecord) close() {
	if !s.Closing {
		s.Closing, s.After = true, ""
	}
}

// passed notes how far a pass has come.
func (s *SeasonRecord) passed(after string, end bool) {
	s.After = after
	if !end {
		return
	}
	s.After = ""
	if s.Closing {
		s.Closing, s.Closed = false, true
		return
	}
	s.Done = true
}
