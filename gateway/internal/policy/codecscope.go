package policy

// writeScopes writes what is left out where it says nothing: the parts of scope.go.
func (r *Rules) writeScopes(w *writer) {
	if r.CarriedOver {
		w.key("carried_over_only").truth(true)
	}
	if len(r.ScopePurposes) > 0 {
		w.key("purposes_by_scope").open('{')
		for _, s := range r.ScopePurposes {
			writeWords(w.key(string(s.Scope)), s.Purposes)
		}
		w.close('}')
	}
	if r.OwnAccount != OwnExhaust {
		w.key("own_account").text(string(r.OwnAccount))
	}
	if len(r.Pairs) > 0 {
		w.key("pairs").open('[')
		for _, p := range r.Pairs {
			w.element().open('{')
			w.key("region").text(p.Region)
			w.key("from").text(p.From.String())
			if p.Until != 0 {
				w.key("until").text(p.Until.String())
			}
			w.close('}')
		}
		w.close(']')
	}
	if len(r.Sources) > 0 {
		w.key("sources").open('{')
		for _, s := range r.Sources {
			w.key(s.Figure).text(s.Text)
		}
		w.close('}')
	}
}

// scopeFields are the keys of writeScopes.
func (s *reader) scopeFields(r *Rules) []field {
	return []field{
		{"carried_over_only", false, func() { r.CarriedOver = s.truth() }},
		{"purposes_by_scope", false, func() {
			s.entries(len(scopes), func(key string) {
				r.ScopePurposes = append(r.ScopePurposes, ScopePurposes{Scope(key), words[Purpose](s, len(purposes))})
			})
		}},
		{"own_account", false, func() { r.OwnAccount = OwnAccount(s.text(wordMax)) }},
		{"pairs", false, func() { r.Pairs = s.pairs() }},
		{"sources", false, func() {
			s.entries(SourcesMax, func(key string) {
				r.Sources = append(r.Sources, Source{key, s.text(sourceTextMax * 4)})
			})
		}},
	}
}

func (s *reader) pairs() []Pair {
	var out []Pair
	s.array(PairsMax, func() {
		var p Pair
		s.object([]field{
			{"region", true, func() { p.Region = s.text(len("110000")) }},
			{"from", true, func() { parse(s, &p.From, ParseDate) }},
			{"until", false, func() { parse(s, &p.Until, ParseDate) }},
		})
		out = append(out, p)
	})
	return out
}

// truth reads true or false.
func (s *reader) truth() bool {
	s.peek()
	for _, word := range []string{"true", "false"} {
		if s.err == nil && len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
			s.i += len(word)
			return word == "true"
		}
	}
	s.fail("expected true or false")
	return false
}

func (w *writer) truth(v bool) {
	word := "false"
	if v {
		word = "true"
	}
	w.b = append(w.b, word...)
	w.comma = true
}
