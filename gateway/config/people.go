package config

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// PeopleMax is how many persons one file may hold.
const PeopleMax = 1_000_000

// People is the content of adapter.people_file: whom the embedded book starts with.
type People struct {
	People []Person `json:"people"`
}

// Person is one insured person of the region. Money has the API's form, as 4084.00.
type Person struct {
	IDNumber    string `json:"id_number"` // GB 11643-1999
	Name        string `json:"name"`
	Scheme      string `json:"scheme"`       // 310 employee, 390 resident (which has no account: 0.00)
	Status      string `json:"status"`       // 1 normal, 2 suspended, 4 terminated
	Balance     string `json:"balance"`      // at the import
	YearOpening string `json:"year_opening"` // the balance at the start of the business year
	Family      int    `json:"family"`       // of the testnet's synthetic families; carries no rights
}

// LoadPeople reads a people file: strict, one document, at most PeopleMax persons. What stands in
// the fields is checked where it is imported. No error quotes the file. Errors: ErrInvalid, the
// file system's.
func LoadPeople(path string) (People, error) {
	f, err := os.Open(path)
	if err != nil {
		return People{}, fmt.Errorf("config: people file: %w", err)
	}
	people, err := ReadPeople(f)
	if closing := f.Close(); err == nil && closing != nil {
		return People{}, fmt.Errorf("config: people file: %w", closing)
	}
	return people, err
}

// ReadPeople is LoadPeople of an open file.
func ReadPeople(r io.Reader) (People, error) {
	var p People
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if d.Decode(&p) != nil || d.More() {
		return People{}, fmt.Errorf("%w: the people file is not of its form", ErrInvalid)
	}
	if len(p.People) > PeopleMax {
		return People{}, fmt.Errorf("%w: more than %d persons", ErrInvalid, PeopleMax)
	}
	return p, nil
}
