package secondopinion

// Limit has a folder that is full earlier.
func (f *Folder) Limit(files int) { f.limit = files }
