package federation

import "encoding/binary"

// The first byte of everything hashed says what it is, so that no leaf can be shown as a node, nor
// persons as a leaf (RFC 6962 section 2.1 does the same). 0x03 is the link's chain.
const (
	tagLeaf    = 0x00
	tagNode    = 0x01
	tagPersons = 0x02
)

// prefixSize: class ‖ number ‖ chain ‖ id.
const prefixSize = 1 + 8 + HashSize + IDSize

// Leaf is a message's leaf in its parcel's tree:
//
//	H(0x00 ‖ salt ‖ H(class ‖ number ‖ chain ‖ id ‖ body) ‖ personsDigest)
//
// The prefix before the body has a fixed width, so the place of a message on its link is signed
// with it. PersonsDigest is zero when there are no persons. A resend has the same leaf, since its
// salt is derived.
func Leaf(h Hash, m *Message) [HashSize]byte {
	var prefix [prefixSize]byte
	prefix[0] = byte(m.Class)
	binary.BigEndian.PutUint64(prefix[1:], m.Number)
	copy(prefix[9:], m.Chain[:])
	copy(prefix[9+HashSize:], m.ID[:])
	body := h(prefix[:], m.Body)
	return h([]byte{tagLeaf}, m.Salt[:], body[:], m.PersonsDigest[:])
}

// PersonsDigest commits to persons: H(0x02 ‖ salt ‖ persons). Without persons it is zero.
func PersonsDigest(h Hash, salt [SaltSize]byte, persons []byte) [HashSize]byte {
	if len(persons) == 0 {
		return [HashSize]byte{}
	}
	return h([]byte{tagPersons}, salt[:], persons)
}

func node(h Hash, left, right [HashSize]byte) [HashSize]byte {
	return h([]byte{tagNode}, left[:], right[:])
}

// level makes the nodes above nodes, in place. An odd last node is promoted as it is; the count of
// leaves, which the header binds, says where that happens.
func level(h Hash, nodes [][HashSize]byte) [][HashSize]byte {
	up := nodes[:0]
	for i := 0; i < len(nodes); i += 2 {
		if i+1 == len(nodes) {
			up = append(up, nodes[i])
			continue
		}
		up = append(up, node(h, nodes[i], nodes[i+1]))
	}
	return up
}

// Root is the Merkle root over leaves; zero without leaves.
func Root(h Hash, leaves [][HashSize]byte) [HashSize]byte {
	if len(leaves) == 0 {
		return [HashSize]byte{}
	}
	nodes := append([][HashSize]byte(nil), leaves...)
	for len(nodes) > 1 {
		nodes = level(h, nodes)
	}
	return nodes[0]
}

// Path is what leads from leaf i to the root, from the bottom up: the sibling of each level, and
// nothing for a level where the node is promoted. Nil for an i outside leaves.
func Path(h Hash, leaves [][HashSize]byte, i int) [][HashSize]byte {
	if i < 0 || i >= len(leaves) {
		return nil
	}
	path := make([][HashSize]byte, 0, pathMax)
	nodes := append([][HashSize]byte(nil), leaves...)
	for len(nodes) > 1 {
		if sibling := i ^ 1; sibling < len(nodes) {
			path = append(path, nodes[sibling])
		}
		nodes = level(h, nodes)
		i /= 2
	}
	return path
}

// VerifyPath reports whether leaf stands at index of count leaves under root. Every node of path
// must be used.
func VerifyPath(h Hash, leaf [HashSize]byte, index, count uint32, path [][HashSize]byte, root [HashSize]byte) bool {
	if index >= count {
		return false
	}
	at := leaf
	for ; count > 1; index, count = index/2, (count+1)/2 {
		if index%2 == 0 && index+1 == count {
			continue
		}
		if len(path) == 0 {
			return false
		}
		if index%2 == 1 {
			at = node(h, path[0], at)
		} else {
			at = node(h, at, path[0])
		}
		path = path[1:]
	}
	return len(path) == 0 && at == root
}
