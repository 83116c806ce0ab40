package ledger

import "time"

// keysCommands are one of each kind about keys at rest, and the one whose person they made optional.
func keysCommands() []Command {
	person, persons := samplePerson(), sampleBundle()
	return []Command{
		&Complete{
			sampleRequest(), "p-1", true, time.Minute,
			[]Offer{{"g-1", "110000", "not_found"}},
			[]byte("ticket"), &person, &persons,
		},
		&NameKeys{"token-1", "data-1", "evidence-1"},
		&StartRotation{KeyToken, "token-2", []byte("probe"), "li"},
		&ConfirmKey{3, "node-1"},
		&StageRotation{3, []string{"node-1", "node-2"}, true},
		&RotatePage{
			3, StepTokens, []byte("a"), []byte("b"), true, 9,
			[]MovedToken{{sampleHash(1), sampleHash(2), sampleHash(3)}},
			[]Resealed{{[]byte("key"), 1, sampleHash(4), []byte("sealed")}},
		},
		&DestroyKey{"data-1", "data", "li", "wang", "over"},
		&KeyDestroyed{"data-1", "node-1", KeyEndAbsent},
	}
}

func sampleKeys() sample {
	return of("keys", KeysRecord{
		"token-2", "data-2", "evidence-1", 4, true, RotationRecord{
			3, KeyData, "data-1", "data-2", []byte("probe"), RotationMoving,
			[]string{"node-1"},
			StepPersons, []byte("a"), 9, 8,
			"li", sampleTime(1), sampleTime(2), sampleTime(3), sampleTime(4),
		},
	})
}

func sampleDestroyed() sample {
	return of("destroyed key", DestroyedKey{
		"data-1", "data", "li", "wang", "over", sampleTime(1), []NodeEnd{{"node-1", KeyEndDestroyed, sampleTime(2)}},
	})
}
