package bulletin

// Known is how many refused contents are remembered, and how many may be.
func (w *Watch) Known() (int, int) {
	w.known.mu.Lock()
	defer w.known.mu.Unlock()
	return len(w.known.order) + len(w.known.whys) - len(w.known.order), knownMax
}
