// Package marked is for tests of what stands at rest (R-28, design 6): persons whose names and numbers stand nowhere
// else, everything that can happen to them, and a hunt for them through files, stores, tables, topics and core dumps.
//
// The hunt looks for every form in which a text could stand (Forms), in data as it is and after decompression. It also
// looks for a text that has to be there, so that nobody hunts in the wrong place and is content.
package marked
