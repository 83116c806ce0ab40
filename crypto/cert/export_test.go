package cert

// Key is the authority's, for tests that misuse it.
func (i *Issuer) Key() Signer { return i.key.signer }
