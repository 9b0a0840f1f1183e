import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import typescript from 'typescript-eslint';

import svelteConfig from './svelte.config.js';

export default typescript.config(
  { ignores: ['dist/', 'dist-app/', 'src/api/schema.d.ts', 'app/schema.d.ts'] },
  ...typescript.configs.strict,
  ...svelte.configs['flat/recommended'],
  { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: {
      parserOptions: { parser: typescript.parser, extraFileExtensions: ['.svelte'], svelteConfig },
    },
  },
  {
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      // The default type submits the form.
      'svelte/button-has-type': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      // Maps and sets are local to functions, and the URL query is replaced as a whole.
      'svelte/prefer-svelte-reactivity': 'off',
      // Explicit next to other snippets of `Loaded`; `{' '}` is a space that Prettier keeps.
      'svelte/no-useless-children-snippet': 'off',
      'svelte/no-useless-mustaches': 'off',
      // This is a hash router, not SvelteKit.
      'svelte/no-navigation-without-resolve': 'off',
    },
  },
);
