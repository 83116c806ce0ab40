package ledger

// sampleArchives are the records and commands of the archives of evidence.
func sampleArchives() []sample {
	span := Span{"310000", true, 1, 5, 2, 7, true}
	return []sample{
		of("moment", Moment{sampleTime(1), 3}),
		of("archive", ArchiveRecord{
			3, sampleTime(1), sampleTime(2),
			[]Span{span},
			9, sampleHash(4), sampleTime(3), "k1", []byte("signature"), true,
			true,
		}),
		of("asked", sampleAsked()), of("asked head", askedHead{7}), of("held", heldRecord{7}),
		of("cut", cutRecord{3, sampleTime(2), []Span{span}}),
	}
}

func sampleAsked() AskedRecord {
	return AskedRecord{
		sampleTime(4), "p-310000-1", "hospital", "k-1", []byte("public"), sampleTime(1),
		SignedRequest{"POST", "/v1/payments", "2026-11-20T08:00:00+08:00", "nonce", sampleHash(6), []byte("signature")},
	}
}

func sampleArchiveCommands() []Command {
	return []Command{
		&Led{"110000-1"}, &CutArchive{3}, &DropArchive{3, 2}, &HoldArchives{"110000-1", 3},
		&SealArchive{3, 9, sampleHash(4), sampleTime(3), "k1", []byte("signature")},
	}
}
