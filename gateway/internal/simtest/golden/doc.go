// Package golden plays scenarios that stand in text files against a whole simulated federation, and holds every answer
// against what the file expects. The files are written to be read by the people whose rules they show.
//
// # A file
//
// A line that begins with "# R-" opens a situation: the requirements that it shows, and a title. Each situation has a
// federation of its own: three regions with the real log, ledger, settle, desk and HTTP face, in virtual time, on a bus
// in memory; its clock begins at ten in the morning of 20 November 2026 in Beijing. A line that begins with "> " is a
// command, and the lines below it that are indented by four spaces are its answer. Everything else is prose.
//
//	# R-07 R-16: what a payer allows for one payment bites
//	> person son 王建国 110000 310 balance=4084.00
//	> person mother 林秀兰 350100 390
//	> grant son→mother parent per_payment_limit=100.00
//	    201 $grant1 active: son→mother, parent, national_app, from 2026-11-20, 100.00 a payment, hotline 010-12393
//	> pay mother at 310000 hospital outpatient self_borne=286.50
//	    201 $pay1 held: 286.50 asked, 100.00 held, 186.50 cash due, decide by 10:15
//	    leg $grant1 of son at 110000: placed 100.00, limited by payment_limit
//
// Ids have names by the order in which they were first seen ($grant1, $pay1, $hold1), persons have the names that the
// file gives them, and times are told to the minute, so that a file reads the same every time.
//
// # Commands
//
// The world, before the first person: clock TIME, region CODE like
// CODE (one more, with the rules of a pilot), core REGION (its money is kept by a core system outside), rules, pair.
// At any time: clock +1h or clock TIME, rules REGION KEY=VALUE… (from today, or from=DATE), pair A-B closed or
// from=DATE until=DATE, cut A-B, mend A-B, core REGION down, core REGION up, person, status PERSON 1|2|4,
// account PERSON (what the book or core system itself says).
//
// The API: grant, accept, change, suspend, resume, revoke, renounce, order, grants, pay, quote, confirm, cancel, complete, refund,
// refunds, show, find, quotas, statement, mandate, mandates, end-mandates, commitment, call (any other path). KEY=VALUE
// sets a field of the body, nested ones with dots; an empty value leaves the field out. A command that names no payment
// or grant means the last one. "again" sends the last write once more, as it was.
package golden
