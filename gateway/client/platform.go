package client

// PlatformKey is one key of one platform as operators see and register it (the operators' listener, not the API).
type PlatformKey struct {
	KeyID         string   `json:"key_id"`
	Platform      string   `json:"platform"`
	Region        string   `json:"region,omitempty"` // empty in a registration: the region asked
	Public        string   `json:"public"`           // base64 of 04 ‖ x ‖ y
	Roles         []string `json:"roles"`
	RatePerSecond int      `json:"rate_per_second,omitempty"` // 0: no bound of its own
	NotBefore     string   `json:"not_before,omitempty"`
	NotAfter      string   `json:"not_after,omitempty"`
	// CertDigest and CertSubject bind the key to a client certificate: the lower-case hex SHA-256 of its
	// SubjectPublicKeyInfo, and its subject as RFC 2253 writes it.
	CertDigest  string           `json:"certificate_digest,omitempty"`
	CertSubject string           `json:"certificate_subject,omitempty"`
	National    *PlatformDialect `json:"national,omitempty"`
	Registered  string           `json:"registered,omitempty"` // in answers
	Revoked     string           `json:"revoked,omitempty"`    // in answers
	Reason      string           `json:"reason,omitempty"`     // in answers
}

// PlatformDialect is how an app writes the national mobile-payment convention.
type PlatformDialect struct {
	Scalars   string `json:"scalars"`   // keep, strings, first_level
	Timestamp string `json:"timestamp"` // yyyyMMddHHmmss, unix, unix_ms
}

// PlatformList is the answer of GET /admin/v1/platforms.
type PlatformList struct {
	Region    string        `json:"region"`
	Platforms []PlatformKey `json:"platforms"`
}

// PlatformChange is the answer of a registration or a revocation.
type PlatformChange struct {
	KeyID     string `json:"key_id"`
	Unchanged bool   `json:"unchanged"`
}
