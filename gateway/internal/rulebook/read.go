package rulebook

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// Read reads a document, in canonical order and valid. The error is a *ProblemsError (an ErrDocument) with everything
// that is wrong.
func Read(data []byte) (policy.Rules, error) {
	r := &reader{}
	if len(data) > DocumentMax {
		r.say(&yaml.Node{}, "", fmt.Sprintf("has more than %d bytes", DocumentMax), fmt.Sprintf("超过%d字节", DocumentMax))
		return policy.Rules{}, r.err()
	}
	root := r.parse(data)
	if root == nil {
		return policy.Rules{}, r.err()
	}
	d := &document{reader: r, lines: map[string]*yaml.Node{}}
	r.mapping("", root, d.fields())
	d.sourced(root)
	if err := r.err(); err != nil {
		return policy.Rules{}, err
	}
	rules := d.rules.Normalize()
	if _, err := policy.EncodeRules(rules); err != nil { // a net: what is wrong was said above, with its line
		reason := strings.TrimPrefix(err.Error(), policy.ErrRules.Error()+": ")
		r.say(root, reason, "is not valid", "无效")
		return policy.Rules{}, r.err()
	}
	return rules, nil
}

// document is a document on its way to rules.
type document struct {
	*reader
	rules policy.Rules
	lines map[string]*yaml.Node // figures that stand in the document, with where
}

// fields are the keys of a document, in the order in which Write writes them.
func (d *document) fields() []field {
	x := &d.rules
	of := func(name string, required bool, read func(at string, n *yaml.Node)) field {
		return field{name, required, func(at string, n *yaml.Node) { d.lines[name] = n; read(at, n) }}
	}
	return []field{
		of("region", true, func(at string, n *yaml.Node) { x.Region = d.region(at, n) }),
		of("effective_from", true, func(at string, n *yaml.Node) { x.EffectiveFrom = d.date(at, n) }),
		of("annual_share", true, func(at string, n *yaml.Node) { x.AnnualShare, _ = d.share(at, n) }),
		of("retained_floor", true, func(at string, n *yaml.Node) { x.RetainedFloor, _ = d.amount(at, n) }),
		of("visit_limits", false, d.visitLimits),
		of("decide_within_seconds_max", true, func(at string, n *yaml.Node) {
			x.DecideWithinSecondsMax = d.integer(at, n, policy.DecideWithinSecondsMin, 24*60*60)
		}),
		of("purposes", true, func(at string, n *yaml.Node) { x.Purposes = words(d.reader, at, n, policy.Purposes()) }),
		of("relations", true, func(at string, n *yaml.Node) { x.Relations = words(d.reader, at, n, policy.Relations()) }),
		of("hotline", true, d.hotline),
		of("purpose_shares", false, d.purposeShares),
		of("carried_over_only", false, func(at string, n *yaml.Node) { x.CarriedOver = d.truth(at, n) }),
		of("purposes_by_scope", false, d.scopes),
		of("own_account", false, func(at string, n *yaml.Node) {
			x.OwnAccount = word(d.reader, at, n, []policy.OwnAccount{policy.OwnExhaust, policy.OwnZeroOnly})
		}),
		of("consent", true, func(at string, n *yaml.Node) {
			x.Consent = word(d.reader, at, n, []policy.Consent{policy.ConsentPayer, policy.ConsentBoth, policy.ConsentCross})
		}),
		of("commitment", true, d.commitment),
		of("pairs", false, d.pairs),
		of("emergency_days", false, func(at string, n *yaml.Node) {
			x.EmergencyDays = d.integer(at, n, 0, policy.EmergencyDaysMax)
		}),
		of("premiums", false, d.premiums),
		of("institutions", true, d.institutions),
		of("sources", true, d.sources),
	}
}

func (d *document) region(at string, n *yaml.Node) string {
	s, ok := d.scalar(at, n, "a region code of six digits", "六位医保区划代码", tagText)
	if ok && !person.ValidRegion(s) {
		d.say(n, at, shownQuoted(s)+" is not a region code of six digits", shownQuoted(s)+"不是六位医保区划代码")
		return ""
	}
	return s
}

func (d *document) hotline(at string, n *yaml.Node) {
	s, ok := d.scalar(at, n, "a hotline", "热线", tagText)
	d.rules.Hotline = s
	if ok && !policy.ValidHotline(s) {
		d.say(n, at, `must be the area code, a hyphen and 12393, like "0591-12393" (R-09)`,
			"应为区号、连字符和12393，如\"0591-12393\"（R-09）")
	}
}

// byPurpose reads a mapping whose keys are purposes.
func (d *document) byPurpose(at string, n *yaml.Node, only []policy.Purpose, entry func(policy.Purpose, *yaml.Node)) {
	d.entries(at, n, len(policy.Purposes())*2, func(key string, k, v *yaml.Node) {
		if !slices.Contains(only, policy.Purpose(key)) {
			d.unknownWord(join(at, shown(key)), k, key, listed(only))
			return
		}
		d.lines[join(at, key)] = k
		entry(policy.Purpose(key), v)
	})
}

func (d *document) visitLimits(at string, n *yaml.Node) {
	d.byPurpose(at, n, policy.Purposes(), func(p policy.Purpose, v *yaml.Node) {
		d.rules.VisitLimits = append(d.rules.VisitLimits, policy.VisitLimit{
			Purpose: p, Limit: d.positive(join(at, string(p)), v),
		})
	})
}

func (d *document) purposeShares(at string, n *yaml.Node) {
	general := d.lines["annual_share"]
	d.byPurpose(at, n, policy.Purposes(), func(p policy.Purpose, v *yaml.Node) {
		s, ok := d.share(join(at, string(p)), v)
		if ok && general != nil && s < d.rules.AnnualShare {
			d.say(v, join(at, string(p)), "is lower than annual_share: a purpose may only raise the share (R-16)",
				"低于annual_share：特定用途只能提高比例（R-16）")
		}
		d.rules.PurposeShares = append(d.rules.PurposeShares, policy.PurposeShare{Purpose: p, Share: s})
	})
}

func (d *document) scopes(at string, n *yaml.Node) {
	d.entries(at, n, len(policy.Scopes())*2, func(key string, k, v *yaml.Node) {
		if !slices.Contains(policy.Scopes(), policy.Scope(key)) {
			d.unknownWord(join(at, shown(key)), k, key, listed(policy.Scopes()))
			return
		}
		d.lines[join(at, key)] = k
		d.rules.ScopePurposes = append(d.rules.ScopePurposes, policy.ScopePurposes{
			Scope: policy.Scope(key), Purposes: words(d.reader, join(at, key), v, policy.Purposes()),
		})
	})
}

func (d *document) commitment(at string, n *yaml.Node) {
	c := &d.rules.Commitment
	d.mapping(at, n, []field{
		{"version", true, func(at string, n *yaml.Node) {
			if c.Version = d.text(at, n, DocumentMax); c.Version != "" && !policy.ValidVersion(c.Version) {
				d.say(n, at, "must be 1 to 64 of A-Z a-z 0-9 . _ -", "应为1至64个字符，可用A-Z a-z 0-9 . _ -")
			}
		}},
		{"text", true, func(at string, n *yaml.Node) { c.Text = d.signed(at, n) }},
		{"text_zh", true, func(at string, n *yaml.Node) { c.TextZH = d.signed(at, n) }},
	})
}

// signed reads a text that persons sign.
func (d *document) signed(at string, n *yaml.Node) string {
	s, ok := d.scalar(at, n, "a text", "文本", tagText)
	if ok && !policy.ValidText(s) {
		d.say(n, at, "must be 1 to 20000 bytes without control or invisible characters",
			"应为1至20000字节，不得含控制字符或不可见字符")
	}
	return s
}

func (d *document) pairs(at string, n *yaml.Node) {
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		d.say(n, at, "is empty: leave it out to go by the federation's directory; to close other provinces set "+
			"purposes_by_scope.cross_province to []", "为空：不设名单请删除该项；不开放外省请将purposes_by_scope.cross_province设为[]")
	}
	lines := make(map[string][]policy.Pair)
	d.list(at, n, policy.PairsMax, func(at string, n *yaml.Node) {
		p := policy.Pair{}
		before := len(d.problems)
		d.mapping(at, n, []field{
			{"region", true, func(at string, n *yaml.Node) { p.Region = d.region(at, n) }},
			{"from", true, func(at string, n *yaml.Node) { p.From = d.date(at, n) }},
			{"until", false, func(at string, n *yaml.Node) { p.Until = d.date(at, n) }},
		})
		if len(d.problems) > before {
			return
		}
		d.pair(at, n, p, lines[p.Region])
		lines[p.Region] = append(lines[p.Region], p)
		d.rules.Pairs = append(d.rules.Pairs, p)
	})
}

// pair checks one pair against those of the same region before it.
func (d *document) pair(at string, n *yaml.Node, p policy.Pair, others []policy.Pair) {
	if policy.ScopeOf(d.rules.Region, p.Region) != policy.ScopeCrossProvince {
		d.say(n, at, "is a region of the same province, which needs no pair (R-04)", "是同省统筹区，无需列入（R-04）")
	}
	if p.Until != 0 && p.Until < p.From {
		d.say(n, at, "ends before it begins", "结束日期早于开始日期")
	}
	for _, o := range others {
		if (o.Until == 0 || o.Until >= p.From) && (p.Until == 0 || p.Until >= o.From) {
			d.say(n, at, "overlaps another entry of the same region", "与同一统筹区的其他条目日期重叠")
			return
		}
	}
}

func (d *document) premiums(at string, n *yaml.Node) {
	known := []policy.Purpose{policy.PurposeResidentPremium, policy.PurposeLTCPremium}
	d.byPurpose(at, n, known, func(purpose policy.Purpose, v *yaml.Node) {
		p := policy.Premium{Purpose: purpose}
		day := func(into *int) func(at string, n *yaml.Node) {
			return func(at string, n *yaml.Node) {
				*into, _ = parsed(d.reader, at, n, `a day of the year MM-DD, like "09-01"`, "日期MM-DD，如\"09-01\"",
					policy.ParseMonthDay)
			}
		}
		d.mapping(join(at, string(purpose)), v, []field{
			{"amount", true, func(at string, n *yaml.Node) { p.Amount = d.positive(at, n) }},
			{"season_from", true, day(&p.SeasonFrom)},
			{"season_to", true, day(&p.SeasonTo)},
		})
		if p.SeasonFrom > 0 && p.SeasonTo > 0 && p.SeasonTo < p.SeasonFrom {
			d.say(v, join(at, string(purpose)), "its season ends before it begins; a season lies within one year",
				"缴费期结束早于开始；缴费期应在同一年内")
		}
		d.rules.Premiums = append(d.rules.Premiums, p)
	})
}

func (d *document) institutions(at string, n *yaml.Node) {
	first := map[string]int{}
	kinds := policy.InstitutionKinds()
	d.list(at, n, policy.InstitutionsMax, func(at string, n *yaml.Node) {
		var i policy.Institution
		d.mapping(at, n, []field{
			{"code", true, func(at string, n *yaml.Node) {
				if i.Code = d.text(at, n, DocumentMax); i.Code != "" && !policy.ValidInstitutionCode(i.Code) {
					d.say(n, at, "must be 1 to 32 of A-Z a-z 0-9", "应为1至32个字母或数字")
				}
			}},
			{"name", true, func(at string, n *yaml.Node) {
				if i.Name = d.text(at, n, DocumentMax); i.Name != "" && !policy.ValidInstitutionName(i.Name) {
					d.say(n, at, "must be 1 to 100 characters on one line", "应为一行、1至100个字符")
				}
			}},
			{"kind", true, func(at string, n *yaml.Node) { i.Kind = word(d.reader, at, n, kinds) }},
			{"purposes", true, func(at string, n *yaml.Node) {
				if i.Purposes = words(d.reader, at, n, policy.Purposes()); len(i.Purposes) == 0 {
					d.say(n, at, "must name at least one purpose", "至少应有一种用途")
				}
			}},
		})
		if line, twice := first[i.Code]; twice && i.Code != "" {
			d.say(n, at+".code", fmt.Sprintf("%s stands twice (first in line %d)", i.Code, line),
				fmt.Sprintf("%s重复出现（首次在第%d行）", i.Code, line))
		}
		first[i.Code] = n.Line
		d.rules.Institutions = append(d.rules.Institutions, i)
	})
}

func (d *document) sources(at string, n *yaml.Node) {
	d.entries(at, n, policy.SourcesMax, func(key string, k, v *yaml.Node) {
		if !policy.ValidFigure(key) {
			d.say(k, join(at, shown(key)), "is not a figure of the rules", "不是规则中的项目")
			return
		}
		text, ok := d.scalar(join(at, key), v, "a text", "文本", tagText)
		if ok && !policy.ValidSource(text) {
			d.say(v, join(at, key), "must be 1 to 300 characters", "应为1至300个字符")
		}
		d.rules.Sources = append(d.rules.Sources, policy.Source{Figure: key, Text: text})
	})
}

// needSource are the figures that must say where they come from, and whether each of their entries may say it alone.
var needSource = []string{
	"annual_share", "purpose_shares", "carried_over_only", "retained_floor", "visit_limits", "purposes",
	"purposes_by_scope", "relations", "own_account", "consent", "hotline", "pairs", "decide_within_seconds_max",
	"emergency_days", "premiums",
}

// sourced says which figures of the document have no source: of a figure with entries each, or the whole.
func (d *document) sourced(root *yaml.Node) {
	if root.Kind != yaml.MappingNode || d.lines["sources"] == nil {
		return
	}
	named := func(figure string) bool {
		return slices.ContainsFunc(d.rules.Sources, func(s policy.Source) bool { return s.Figure == figure })
	}
	for _, figure := range needSource {
		n, stands := d.lines[figure]
		if !stands || named(figure) {
			continue
		}
		entries := d.entriesOf(figure)
		if len(entries) == 0 {
			d.noSource(n, figure)
		}
		for _, e := range entries {
			if !named(e) {
				d.noSource(d.lines[e], e)
			}
		}
	}
}

func (d *document) entriesOf(figure string) []string {
	var out []string
	for name := range d.lines {
		if strings.HasPrefix(name, figure+".") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (d *document) noSource(n *yaml.Node, figure string) {
	d.say(n, figure, "has no entry under sources: say where it comes from, or that it is invented",
		"在sources中没有对应条目：请注明依据，或注明为虚构")
}
