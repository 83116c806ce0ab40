package policy

import (
	"errors"
	"strconv"
	"time"
)

// ErrDate: not a day in the form YYYY-MM-DD.
var ErrDate = errors.New("policy: not a date YYYY-MM-DD")

// Date is a day of the calendar, counted in days so that days compare as numbers and stand
// compactly in the log: 1 is 0001-01-01. The zero value is no date.
type Date int32

const (
	beijingOffset = 8 * time.Hour // the whole country keeps it; no summer time
	daySeconds    = 24 * 60 * 60
	// epochDate is 1970-01-01 as a Date.
	epochDate = 719_163
	// dateMax is 9999-12-31, the last day that the form can carry.
	dateMax = 3_652_059
)

// Beijing is the time zone of the business day and year: +08:00, without a zone data base.
// The zone has no name, for which package time keeps one value instead of making one a call.
func Beijing() *time.Location { return time.FixedZone("", int(beijingOffset/time.Second)) }

// Day is the Beijing day of an instant; no date outside the years 1 to 9999.
func Day(t time.Time) Date {
	seconds := t.Unix() + int64(beijingOffset/time.Second)
	days := seconds / daySeconds
	if seconds%daySeconds < 0 {
		days--
	}
	if days < 1-epochDate || days > dateMax-epochDate {
		return 0
	}
	return Date(days + epochDate)
}

// Year is the Beijing business year of an instant; 0 outside the years 1 to 9999.
func Year(t time.Time) int { return Day(t).Year() }

// NewDate makes a day; ErrDate if the calendar has none such within the years 1 to 9999.
func NewDate(year int, month time.Month, day int) (Date, error) {
	if year < 1 || year > 9999 || month < time.January || month > time.December || day < 1 || day > 31 {
		return 0, ErrDate
	}
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day {
		return 0, ErrDate
	}
	return Date(t.Unix()/daySeconds + epochDate), nil // a midnight divides exactly, also before 1970
}

// ParseDate reads exactly YYYY-MM-DD and a day that exists; everything else is ErrDate.
func ParseDate(s string) (Date, error) {
	if len(s) != len("2006-01-02") || s[4] != '-' || s[7] != '-' {
		return 0, ErrDate
	}
	for i := range len(s) {
		if i != 4 && i != 7 && (s[i] < '0' || s[i] > '9') {
			return 0, ErrDate
		}
	}
	return NewDate(number(s[:4]), time.Month(number(s[5:7])), number(s[8:]))
}

// number reads up to four digits that were looked at before.
func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

// time is midnight of the day in UTC.
func (d Date) time() time.Time { return time.Unix((int64(d)-epochDate)*daySeconds, 0).UTC() }

// Valid tells whether d is a day of the years 1 to 9999.
func (d Date) Valid() bool { return d >= 1 && d <= dateMax }

// String is YYYY-MM-DD, "" for no date.
func (d Date) String() string {
	if !d.Valid() {
		return ""
	}
	year, month, day := d.time().Date()
	b := make([]byte, 0, len("2006-01-02"))
	for width := 1000; width > year && width > 1; width /= 10 {
		b = append(b, '0')
	}
	b = strconv.AppendInt(b, int64(year), 10)
	return string(append(b, '-', byte('0'+month/10), byte('0'+month%10), '-', byte('0'+day/10), byte('0'+day%10)))
}

// Year is the calendar year, 0 for no date.
func (d Date) Year() int {
	if !d.Valid() {
		return 0
	}
	return d.time().Year()
}

// MonthDay is month*100 + day, 901 for 1 September; 0 for no date.
func (d Date) MonthDay() int {
	if !d.Valid() {
		return 0
	}
	_, month, day := d.time().Date()
	return int(month)*100 + day
}

// leapYear is any year that has a 29 February.
const leapYear = 2000

func validMonthDay(md int) bool {
	_, err := NewDate(leapYear, time.Month(md/100), md%100)
	return err == nil
}

// ParseMonthDay reads exactly MM-DD: 901 for 09-01. Else ErrDate.
func ParseMonthDay(s string) (int, error) {
	d, err := ParseDate("2000-" + s)
	return d.MonthDay(), err
}

func formatMonthDay(md int) string {
	d, err := NewDate(leapYear, time.Month(md/100), md%100)
	if err != nil {
		return ""
	}
	return d.String()[len("2000-"):]
}

// AddDays is the day n days later (earlier, if negative); no date if that leaves the years 1
// to 9999, or d is none.
func (d Date) AddDays(n int) Date {
	if !d.Valid() || n > dateMax || n < -dateMax {
		return 0
	}
	if sum := d + Date(n); sum.Valid() {
		return sum
	}
	return 0
}

// Start is the instant at which the day begins in Beijing; the zero time for no date.
func (d Date) Start() time.Time {
	if !d.Valid() {
		return time.Time{}
	}
	return d.time().Add(-beijingOffset).In(Beijing())
}

// MarshalText is String.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDate.
func (d *Date) UnmarshalText(text []byte) error {
	v, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
