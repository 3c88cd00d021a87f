-- Limits, breakers and accounts in trouble.
SELECT 1;
