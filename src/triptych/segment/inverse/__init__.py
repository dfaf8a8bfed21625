"""InverseForm (Borse 2021): a loss that asks how far a predicted boundary is from the true one."""
