package keyfile

// SpendBox has the current box of a data key near its bound, which a test cannot reach otherwise.
func (r *Ring) SpendBox(id string) {
	r.table.Load().keys[id].boxes.current.Load().count.Store(boxSealsMax - 1)
}

// Boxes is how many boxes of others a data key keeps ready.
func (r *Ring) Boxes(id string) int { return len(r.table.Load().keys[id].boxes.known) }

// SpendSequence has the ring's sequence numbers used up.
func (r *Ring) SpendSequence() {
	next := *r.table.Load()
	next.sequence = 1<<32 - 1
	r.table.Store(&next)
}

// WithLimit has a ring that is full earlier.
func WithLimit(limit int) Option { return func(r *Ring) { r.limit = limit } }

// Names of what tests change on disk.
const (
	Suffix    = suffix
	Tombstone = tombstone
	Temporary = temporary
	FileMax   = fileMax
	BoxesMax  = boxesMax
)
