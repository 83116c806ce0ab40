package policy

// PayerGone tells whether a payer's insurance has ended so that the grants end by themselves: the core
// system does not know the person any more, or not as an employee, or says terminated. A suspended one comes
// back, so it only declines.
func (s Standing) PayerGone() bool {
	return !s.Known || s.Scheme != SchemeEmployee || s.Status == StatusTerminated
}

// BeneficiaryGone is PayerGone of a beneficiary, who may be insured in either scheme.
func (s Standing) BeneficiaryGone() bool {
	return !s.Known || s.Scheme != SchemeEmployee && s.Scheme != SchemeResident || s.Status == StatusTerminated
}
