package root

import (
	"fmt"
	"slices"
	"time"

	"gongji/federation"
)

// Line is one sentence in two languages.
type Line struct{ EN, ZH string }

// String is both.
func (l Line) String() string { return l.EN + " / " + l.ZH }

func line(en, zh string, args ...any) Line {
	return Line{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Head says which directory this is.
func Head(d federation.DirectoryData, now time.Time) []Line {
	days := int(d.Expires.Sub(now).Hours() / 24)
	out := []Line{
		line("version %d, issued %s", "第 %d 版，签发于 %s", d.Version, stamp(d.Issued)),
		line("expires %s, in %d days", "有效期至 %s，还有 %d 天", stamp(d.Expires), days),
		line("%d members, %d pairs", "成员 %d 个，互通地区对 %d 个", len(d.Members), len(d.Pairs)),
	}
	if !now.Before(d.Expires) {
		out[1] = line("EXPIRED %s: no new holds between regions", "已于 %s 过期：不再接受新的跨区冻结", stamp(d.Expires))
	}
	return out
}

// soon is how early the end of a key or a pair is told.
const soon = 30 * 24 * time.Hour

// Ends are the keys and pairs that end within thirty days or have ended, those of closed members left out.
func Ends(d federation.DirectoryData, now time.Time) []Line {
	var out []Line
	for _, m := range d.Members {
		if m.State == federation.MemberClosed {
			continue
		}
		for _, k := range m.Keys {
			if !k.Revoked && k.NotAfter.Before(now.Add(soon)) {
				out = append(out, line("%s: key %s (%s) ends %s", "%s：密钥 %s（%s）于 %s 到期",
					m.Code, k.ID, k.Use, stamp(k.NotAfter)))
			}
		}
	}
	for _, p := range d.Pairs {
		if p.Until != "" && p.Until < now.Add(soon).UTC().Format(time.DateOnly) {
			out = append(out, line("pair %s-%s: last day %s", "地区对 %s-%s：最后一日 %s", p.A, p.B, p.Until))
		}
	}
	return out
}

// Changes say what after changes in before; before may be empty.
func Changes(before, after federation.DirectoryData) []Line {
	var out []Line
	if !before.Expires.Equal(after.Expires) && before.Version > 0 {
		out = append(out, line("expiry moves from %s to %s", "有效期由 %s 改为 %s", stamp(before.Expires), stamp(after.Expires)))
	}
	for _, m := range after.Members {
		old, err := member(&before, m.Code)
		if err != nil {
			out = append(out, line("new member %s %s, %s", "新增成员 %s %s，状态 %s", m.Code, m.Name, m.State))
			old = &federation.Member{State: m.State, Name: m.Name, Protocol: m.Protocol, Aliases: m.Aliases}
		}
		out = append(out, memberChanges(*old, m)...)
	}
	for _, m := range before.Members {
		if _, err := member(&after, m.Code); err != nil {
			out = append(out, line("member %s %s is gone", "成员 %s %s 被移除", m.Code, m.Name))
		}
	}
	out = append(out, pairChanges(before, after)...)
	return append(out, trustChanges(before, after)...)
}

func memberChanges(before, after federation.Member) []Line {
	var out []Line
	if before.State != after.State {
		out = append(out, line("%s: %s becomes %s", "%s：状态由 %s 改为 %s", after.Code, before.State, after.State))
	}
	if before.Name != after.Name || before.Protocol != after.Protocol || !slices.Equal(before.Aliases, after.Aliases) {
		out = append(out, line("%s: name, aliases or protocol change", "%s：名称、别名或协议版本有改动", after.Code))
	}
	for _, k := range after.Keys {
		i := slices.IndexFunc(before.Keys, func(o federation.Key) bool { return o.ID == k.ID })
		if i < 0 {
			out = append(out, line("%s: new key %s (%s), %s to %s", "%s：新增密钥 %s（%s），%s 至 %s",
				after.Code, k.ID, k.Use, stamp(k.NotBefore), stamp(k.NotAfter)))
			if k.Revoked {
				out = append(out, line("%s: key %s is REVOKED", "%s：密钥 %s 已吊销", after.Code, k.ID))
			}
			continue
		}
		out = append(out, keyChanges(after.Code, before.Keys[i], k)...)
	}
	for _, k := range before.Keys {
		if !slices.ContainsFunc(after.Keys, func(o federation.Key) bool { return o.ID == k.ID }) {
			out = append(out, line("%s: key %s is gone", "%s：密钥 %s 被移除", after.Code, k.ID))
		}
	}
	return out
}

func keyChanges(code federation.Region, before, after federation.Key) []Line {
	var out []Line
	switch {
	case !before.Revoked && after.Revoked:
		out = append(out, line("%s: key %s is REVOKED: nothing signed with it counts", "%s：密钥 %s 吊销：以其签名者一律不认",
			code, after.ID))
	case before.Revoked && !after.Revoked:
		out = append(out, line("%s: key %s is NO LONGER REVOKED", "%s：密钥 %s 的吊销被撤回", code, after.ID))
	}
	if !before.NotAfter.Equal(after.NotAfter) || !before.NotBefore.Equal(after.NotBefore) {
		out = append(out, line("%s: key %s is valid %s to %s", "%s：密钥 %s 有效期 %s 至 %s",
			code, after.ID, stamp(after.NotBefore), stamp(after.NotAfter)))
	}
	if string(before.Public) != string(after.Public) || before.Use != after.Use {
		out = append(out, line("%s: key %s IS ANOTHER KEY under the same id", "%s：密钥 %s 编号相同而密钥不同", code, after.ID))
	}
	if string(before.Certificate) != string(after.Certificate) {
		out = append(out, line("%s: key %s has another certificate", "%s：密钥 %s 更换证书", code, after.ID))
	}
	return out
}

func pairChanges(before, after federation.DirectoryData) []Line {
	var out []Line
	old := make(map[[2]federation.Region]federation.Pair, len(before.Pairs))
	for _, p := range before.Pairs {
		old[[2]federation.Region{p.A, p.B}] = p
	}
	for _, p := range after.Pairs {
		was, there := old[[2]federation.Region{p.A, p.B}]
		delete(old, [2]federation.Region{p.A, p.B})
		until := p.Until
		if until == "" {
			until = "…"
		}
		switch {
		case !there:
			out = append(out, line("pair %s-%s opens, %s to %s", "地区对 %s-%s 开通，%s 至 %s", p.A, p.B, p.From, until))
		case was != p:
			out = append(out, line("pair %s-%s is open %s to %s", "地区对 %s-%s 开通期改为 %s 至 %s", p.A, p.B, p.From, until))
		}
	}
	for _, p := range before.Pairs {
		if _, gone := old[[2]federation.Region{p.A, p.B}]; gone {
			out = append(out, line("pair %s-%s is gone: what has begun cannot end", "地区对 %s-%s 被移除：未了业务无法结束", p.A, p.B))
		}
	}
	return out
}

func trustChanges(before, after federation.DirectoryData) []Line {
	var out []Line
	if !slices.EqualFunc(before.Authorities, after.Authorities, slices.Equal) {
		out = append(out, line("authorities of certificates change: %d before, %d after", "证书机构有改动：原 %d 个，现 %d 个",
			len(before.Authorities), len(after.Authorities)))
	}
	if !slices.EqualFunc(before.RevocationLists, after.RevocationLists, slices.Equal) {
		out = append(out, line("revocation lists change: %d before, %d after", "证书吊销列表有改动：原 %d 份，现 %d 份",
			len(before.RevocationLists), len(after.RevocationLists)))
	}
	return out
}
