-- Doubts: crashes counted apart, messages set aside.
SELECT 1;
