package ledger

// sampleArchives are the records and commands of the archives of evidence.
func sampleArchives() []sample {
	span := Span{"310000", true, 1, 5, 2, 7}
	return []sample{
		of("moment", Moment{sampleTime(1), 3}),
		of("archive", ArchiveRecord{
			3, sampleTime(1), sampleTime(2), []Span{span}, 9, sampleHash(4), sampleTime(3), "k1", []byte("signature"), true,
		}),
		of("cut", cutRecord{3, sampleTime(2), []Span{span}}),
	}
}

func sampleArchiveCommands() []Command {
	return []Command{
		&Led{"110000-1"}, &CutArchive{3}, &DropArchive{3},
		&SealArchive{3, 9, sampleHash(4), sampleTime(3), "k1", []byte("signature")},
	}
}
