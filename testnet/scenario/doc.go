// Package scenario tests a whole federation on real parts, from outside: a real Apache Kafka that is killed or loses
// its disk under load, a plain Kafka client that writes what it likes on a lane, a member that has real keys and bad
// intentions, a node that lost its disk. It has tests only. What it knows of the gateways is what anybody can ask: the
// API, the operators' listener, metrics, log files, the lanes on the bus, and the keys in the testnet's data folder.
//
// Most of it stands behind the build tag integration: it starts processes, and needs Java and Maven for Kafka.
// Assertions are about values (money, ends of payments, counters), not about times; times are measured and printed,
// and bounds on them are generous.
package scenario
