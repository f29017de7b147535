package lmtp

// Patient is the Dialer of a Client without one.
var Patient = patient
