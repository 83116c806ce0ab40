package topology

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Schemes and statuses, as the national dictionaries have them.
const (
	Employee = "310"
	Resident = "390"

	StatusNormal     = "1"
	StatusSuspended  = "2"
	StatusTerminated = "4"
)

// Numbers of families. Each has one employee and one resident in every region.
const (
	StoryFamily = 1    // of the story; the only one with grants
	Families    = 80   // of session.json, the story's included
	loadFamily  = 1001 // first one of the load's
	// DefaultLoadAccounts is how many payers' accounts the load has, all regions together.
	DefaultLoadAccounts = 3000
	// LoadAccountsMax bounds what may be asked for: a region imports its people in one go.
	LoadAccountsMax = 60_000
	seed            = 20261122
)

// Person is one synthetic person. Money is yuan with two places.
type Person struct {
	IDNumber    string `json:"id_number"`
	Name        string `json:"name"`
	Region      string `json:"region"`
	Scheme      string `json:"scheme"`
	Status      string `json:"status"`
	Balance     string `json:"balance"`
	YearOpening string `json:"year_opening"`
	Family      int    `json:"family"`
}

// Pair is one grant of the load: who pays for whom, and where the bill arises. All three regions
// differ.
type Pair struct {
	Payer       Person `json:"payer"`
	Beneficiary Person `json:"beneficiary"`
	Visit       string `json:"visit"`
}

var surnames = []string{
	"王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "郭", "何", "高", "罗", "郑",
	"梁", "谢", "宋", "唐", "许", "韩", "冯", "邓", "曹", "彭", "曾", "萧", "田", "董", "袁", "潘", "于", "蒋", "蔡", "余",
}

var givenNames = []string{
	"伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "秀英", "霞", "平",
	"建华", "桂英", "志强", "秀兰", "玉梅", "海燕", "国庆", "晓东", "文博", "子涵", "雨桐", "浩然", "思远", "佳怡", "嘉豪", "梓萱",
}

// maker draws people from one seed, and gives no identity number twice.
type maker struct {
	random *rand.Rand
	used   map[string]bool
}

func newMaker() *maker {
	return &maker{random: rand.New(rand.NewPCG(seed, 1)), used: map[string]bool{}} //nolint:gosec // synthetic people
}

// People returns everybody of session.json: families 1 to Families. The same at every call.
func People() []Person {
	m := newMaker()
	people := m.story()
	regions := Regions()
	for family := StoryFamily + 1; family <= Families; family++ {
		surname := surnames[family%len(surnames)]
		for i, r := range regions {
			people = append(people, m.employee(r, surname, family, family+i), m.resident(r, surname, family, family+i))
		}
	}
	return people
}

// story is family 1, over three provinces. The figures make the story: see testnet/story.
func (m *maker) story() []Person {
	r := Regions()
	beijing, shanghai, fuzhou := r[0], r[1], r[2]
	person := func(r Region, name, scheme, birth, balance, opening string) Person {
		return Person{
			IDNumber: m.number(r.prefixes[0], birth), Name: name, Region: r.Code, Scheme: scheme, Status: StatusNormal,
			Balance: balance, YearOpening: opening, Family: StoryFamily,
		}
	}
	return []Person{
		person(fuzhou, "林秀兰", Resident, "19540312", "0.00", "0.00"),
		person(fuzhou, "林海燕", Employee, "19790825", "2180.00", "3000.00"),
		person(beijing, "林建国", Employee, "19811103", "4084.00", "3600.00"),
		person(beijing, "林子涵", Resident, "20120601", "0.00", "0.00"),
		person(shanghai, "林志强", Employee, "19860417", "5320.00", "5000.00"),
		person(shanghai, "林雨桐", Resident, "20170920", "0.00", "0.00"),
	}
}

// employee has an account. k spreads the few who are suspended, terminated or have nothing left.
func (m *maker) employee(r Region, surname string, family, k int) Person {
	p := Person{
		IDNumber: m.number(r.prefixes[family%len(r.prefixes)], m.birth(1964, 40)), Name: surname + m.given(),
		Region: r.Code, Scheme: Employee, Status: statusOf(k), Family: family,
	}
	fen := 250_000 + m.random.IntN(650_000)       // 2,500 to 9,000 yuan; the mean of all China is about 4,084
	opening := fen - 100_000 + m.random.IntN(fen) // credits and uses since January
	if k%26 == 0 {
		fen = 0
	}
	p.Balance, p.YearOpening = Yuan(int64(fen)), Yuan(int64(opening))
	return p
}

func (m *maker) resident(r Region, surname string, family, k int) Person {
	return Person{
		IDNumber: m.number(r.prefixes[family%len(r.prefixes)], m.birth(1940, 80)), Name: surname + m.given(),
		Region: r.Code, Scheme: Resident, Status: statusOf(k + 5), Balance: "0.00", YearOpening: "0.00", Family: family,
	}
}

func statusOf(k int) string {
	switch {
	case k%19 == 0:
		return StatusSuspended
	case k%37 == 0:
		return StatusTerminated
	default:
		return StatusNormal
	}
}

func (m *maker) given() string { return givenNames[m.random.IntN(len(givenNames))] }

// birth is a day within years after first, as eight digits.
func (m *maker) birth(first, years int) string {
	day := time.Date(first, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, m.random.IntN(years*365))
	return day.Format("20060102")
}

// number makes an identity number of GB 11643-1999 that nobody has yet.
func (m *maker) number(prefix, birth string) string {
	for sequence := 1 + m.random.IntN(899); ; sequence++ {
		body := fmt.Sprintf("%s%s%03d", prefix, birth, sequence%1000)
		number := body + checkDigit(body)
		if !m.used[number] {
			m.used[number] = true
			return number
		}
	}
}

// checkDigit is ISO 7064 MOD 11-2 over the first 17 digits, as GB 11643-1999 has it.
func checkDigit(body string) string {
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(body[i]-'0')
	}
	return string("10X98765432"[sum%11])
}

// LoadPairs returns the load's pairs: accounts payers, evenly over the regions, each with a beneficiary
// of its own. The first payer has a second beneficiary, in the remaining region, and is named in both
// of the first two pairs: it is the hot account. The same for the same number.
func LoadPairs(accounts int) []Pair {
	m := newMaker()
	m.random = rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // synthetic people
	for _, p := range People() {
		m.used[p.IDNumber] = true
	}
	regions := Regions()
	pairs := make([]Pair, 0, accounts+1)
	for i := range accounts {
		family := loadFamily + i
		home, other, visit := i%3, (i+1+i/3%2)%3, (i+2-i/3%2)%3
		payer := m.loadPayer(regions[home], family)
		pairs = append(pairs, m.pair(payer, regions[other], regions[visit]))
		if i == 0 {
			pairs = append(pairs, m.pair(payer, regions[visit], regions[other]))
		}
	}
	return pairs
}

func (m *maker) loadPayer(r Region, family int) Person {
	const balance = "2000000.00" // whatever the load takes, no limit comes near
	return Person{
		IDNumber: m.number(r.prefixes[0], m.birth(1964, 40)), Name: surnames[family%len(surnames)] + m.given(),
		Region: r.Code, Scheme: Employee, Status: StatusNormal, Balance: balance, YearOpening: balance, Family: family,
	}
}

func (m *maker) pair(payer Person, home, visit Region) Pair {
	return Pair{Payer: payer, Visit: visit.Code, Beneficiary: Person{
		IDNumber: m.number(home.prefixes[1], m.birth(1940, 80)), Name: string([]rune(payer.Name)[:1]) + m.given(),
		Region: home.Code, Scheme: Resident, Status: StatusNormal, Balance: "0.00", YearOpening: "0.00", Family: payer.Family,
	}}
}

// Yuan writes whole fen as yuan with two places.
func Yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return sign + strconv.FormatInt(fen/100, 10) + fmt.Sprintf(".%02d", fen%100)
}
